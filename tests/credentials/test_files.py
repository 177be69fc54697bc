"""Files that are no such files, or have no end, and keys that must be on no disk."""

import asyncio
import os
import stat
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from exporter.config.reading import MOST_BYTES, content_of
from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.credentials.kubeconfig import files_in_memory, loader
from exporter.limits import refused_texts
from tests.credentials.certificates import ClientAuthority
from tests.support.configuring import exec_user, inline, write_kubeconfig
from tests.support.door import Door

SERVER = "https://127.0.0.1:1"
GIBIBYTE = 2**30


def huge(path: Path) -> None:
    """A gigabyte that takes no place on the disk."""
    with path.open("wb") as file:
        file.truncate(GIBIBYTE)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


TOO_LONG, NO_FILE = f"is longer than {MOST_BYTES} bytes", "is not a file"
WRONG = pytest.mark.parametrize(
    ("make", "complaint"),
    [(huge, TOO_LONG), (os.mkfifo, NO_FILE), (endless, NO_FILE), (Path.mkdir, NO_FILE)],
    ids=["huge", "fifo", "endless", "folder"],
)
Make = Callable[[Path], None]


async def refusal(credentials: Credentials) -> str:
    """The sentence, for which no more than a few times the limit was taken into memory."""
    tracemalloc.start()
    try:
        async with asyncio.timeout(20):
            with pytest.raises(CredentialsError) as raised:
                await credentials.load()
        assert tracemalloc.get_traced_memory()[1] < 16 * MOST_BYTES
    finally:
        tracemalloc.stop()
    return str(raised.value)


@WRONG
def test_what_is_read_has_an_end(make: Make, complaint: str, tmp_path: Path) -> None:
    make(tmp_path / "it")
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        content_of(tmp_path / "it")


def test_as_long_as_the_limit_is_not_too_long(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"x" * MOST_BYTES)
    assert len(content_of(tmp_path / "it")) == MOST_BYTES


@WRONG
def test_a_kubeconfig_that_is_named(
    make: Make, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    make(path)
    assert Door(capsys, monkeypatch).refusal("run", "--kubeconfig", str(path)) == f'--kubeconfig: "{path}" {complaint}'


@WRONG
async def test_a_kubeconfig_of_the_environment(
    make: Make, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = write_kubeconfig(tmp_path, SERVER, user={"token": "it"})
    make(tmp_path / "it")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", f"{good}:{tmp_path / 'it'}")
    before = refused_texts.times["credentials"]
    message = await refusal(Credentials(CredentialsSource()))
    assert message == f"kubeconfig {good}:{tmp_path / 'it'}: {tmp_path / 'it'} {complaint}"
    assert refused_texts.times["credentials"] == before + 1


@WRONG
async def test_the_file_of_a_token(make: Make, complaint: str, tmp_path: Path) -> None:
    make(tmp_path / "it")
    path = write_kubeconfig(tmp_path, SERVER, user={"tokenFile": "it"})
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: {tmp_path / 'it'} {complaint}"


async def test_the_file_of_a_token_that_grows_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.credentials.kubeconfig.TOKEN_FILE_SECONDS", 0.0)
    (tmp_path / "token").write_text("first")
    path = write_kubeconfig(tmp_path, SERVER, user={"tokenFile": "token"})
    credentials = Credentials(CredentialsSource(path))
    await credentials.load()
    huge(tmp_path / "token")
    with pytest.raises(CredentialsError, match=TOO_LONG):
        await credentials.headers()


async def test_what_is_mounted_into_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    for name in ("token", "ca.crt"):
        (tmp_path / "token").write_text("token")
        (tmp_path / "ca.crt").write_text("none")
        huge(tmp_path / name)
        message = await refusal(Credentials(CredentialsSource(service_account=tmp_path)))
        assert message == f"in-cluster credentials: {tmp_path / name} {TOO_LONG}"


@pytest.mark.parametrize("make", [huge, os.mkfifo])
@pytest.mark.parametrize("which", ["certificate-authority", "client-certificate", "client-key"])
async def test_a_certificate_or_key(which: str, make: Make, tmp_path: Path) -> None:
    ClientAuthority(tmp_path / "ca").issue(tmp_path / "user.crt", tmp_path / "user.key", user="it", group="it")
    make(tmp_path / "it")
    user = {"client-certificate": "user.crt", "client-key": "user.key"}
    wrong = {which: "it"}
    if which == "certificate-authority":
        path = write_kubeconfig(tmp_path, SERVER, user=user, cluster=wrong)
    else:
        path = write_kubeconfig(tmp_path, SERVER, user={**user, **wrong})
    complaint = f"{tmp_path / 'it'} {TOO_LONG}" if make is huge else f"File does not exists: {tmp_path / 'it'}"
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: {complaint}"


@pytest.fixture(params=["in memory", "on disk"])
def temporary_folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, on a system that has files in memory and on one that has not."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    if request.param == "on disk":
        monkeypatch.delattr(os, "memfd_create")
    return folder


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


CERTIFICATE_PLUGIN = """
import json, os, pathlib
here = pathlib.Path(__file__).parent
assert not os.listdir(here / "temporary")
status = {"clientCertificateData": (here / "user.crt").read_text(), "clientKeyData": (here / KEY).read_text()}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


@pytest.mark.parametrize("key", ["user.key", "user.crt"], ids=["a pair", "no pair"])
@pytest.mark.parametrize("source", ["kubeconfig", "plugin"])
async def test_no_key_is_left_behind(source: str, key: str, temporary_folder: Path, tmp_path: Path) -> None:
    ClientAuthority(tmp_path / "ca").issue(tmp_path / "user.crt", tmp_path / "user.key", user="it", group="it")
    user = {
        "client-certificate-data": inline((tmp_path / "user.crt").read_bytes()),
        "client-key-data": inline((tmp_path / key).read_bytes()),
    }
    if source == "plugin":
        user = exec_user(tmp_path, CERTIFICATE_PLUGIN.replace("KEY", repr(key)))
    credentials = Credentials(CredentialsSource(write_kubeconfig(tmp_path, SERVER, user=user)))
    if key == "user.key":
        await credentials.load()
        assert credentials.ssl is not None
    else:
        assert (await refusal(credentials)).endswith("the client certificate and its key are no matching pair in PEM")
    assert names_in(temporary_folder) == []


def test_while_a_key_is_needed_only_its_owner_may_read_it(temporary_folder: Path) -> None:
    with suppress(KeyError), files_in_memory():
        name = Path(loader().config.kube_config.FileOrData({"key-data": inline(b"secret")}, "key").as_file())
        assert name.read_bytes() == b"secret"
        for one in temporary_folder.iterdir():
            assert (one, stat.S_IMODE(one.stat().st_mode)) == (name, 0o600)
        raise KeyError
    assert not name.exists()
    assert names_in(temporary_folder) == []
