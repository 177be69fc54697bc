"""What is written to in a Pod: its own object, where no other is named and it is one of those that are watched."""

from pathlib import Path

import pytest

from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.writes import canary_objects, why_no_canary
from tests.support.observing import config

CANARY = ("--canary.interval", "1")
ELSEWHERE = ("--namespace", "workload")


@pytest.fixture
def in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """As in the Pod `watchslo-0` in the namespace `monitoring`."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setattr("socket.gethostname", lambda: "watchslo-0")
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "namespace").write_text("monitoring")
    return Credentials(CredentialsSource(service_account=tmp_path))


@pytest.mark.parametrize(
    ("flags", "objects"),
    [
        ((), ["pods monitoring/watchslo-0"]),
        (("--namespace", "monitoring"), ["pods monitoring/watchslo-0"]),
        (("--resource", "nodes"), []),
        (ELSEWHERE, []),
        (("--canary.node", "one"), ["nodes one"]),
        (("--canary.custom-resource", "one"), ["canaries.watchslo.dev monitoring/one"]),
        (("--canary.pod", "one", "--canary.node", "one"), ["pods monitoring/one", "nodes one"]),
        ((*ELSEWHERE, "--canary.node", "one"), ["nodes one"]),
        ((*ELSEWHERE, "--canary.pod", "one"), ["pods workload/one"]),
        ((*ELSEWHERE, "--canary.custom-resource", "one"), ["canaries.watchslo.dev workload/one"]),
    ],
    ids=str,
)
def test_a_pod_is_its_own_canary_only_where_it_is_watched_and_nothing_is_named(
    in_a_pod: Credentials, flags: tuple[str, ...], objects: list[str]
) -> None:
    settled = config(*CANARY, *flags)
    assert [str(what) for what in canary_objects(settled, in_a_pod)] == objects
    assert (why_no_canary(settled, in_a_pod) is None) == bool(objects)


def test_that_nothing_is_left_to_write_to_is_one_sentence_with_its_reason(in_a_pod: Credentials) -> None:
    assert why_no_canary(config(*CANARY, *ELSEWHERE), in_a_pod) == (
        "--canary.interval: there is nothing to write to, since the exporter's own Pod is in the namespace "
        '"monitoring" and only "workload" is watched: name an object with --canary.pod, --canary.node or '
        "--canary.custom-resource"
    )
    assert why_no_canary(config(*CANARY, "--resource", "nodes"), in_a_pod) == (
        "--canary.interval: there is nothing to write to: name an object with --canary.pod, --canary.node or "
        "--canary.custom-resource"
    )
    assert why_no_canary(config(*ELSEWHERE), in_a_pod) is None
