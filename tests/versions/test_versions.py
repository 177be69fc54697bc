"""`make versions` itself: which test is in which row, what the page says, and how a rollout is told."""

from dataclasses import replace

import pytest

from tests.live.rollout import Dated, Kinds, Rollout
from tests.real.api import Json, WatchEvent
from tests.versions import report
from tests.versions.__main__ import DOCS, RESULTS, SERVERS
from tests.versions.probes import Probe
from tests.versions.report import Played, Results
from tests.versions.suites import ROOT, SUITES, Outcome

KILLED = "test_a_killed_apiserver_ends_the_watch_and_its_restart_resumes_or_relists"


def of(file: str, test: str) -> str:
    return next(suite.name for suite in SUITES if suite.has(file, test))


def played(**outcomes: Outcome) -> Played:
    probe = Probe("v1.34.4", ["pods"], False, {"date": 50}, {"on_time": 100, "ambiguous": 0, "late": 0}, 0)  # noqa: FBT003
    all_passed = {suite.name: Outcome(passed=3) for suite in SUITES}
    return Played("kubernetes-1.34", "etcd", "2026-11-28", "abc", 60.0, {**all_passed, **outcomes}, probe)


def rollout(*kinds: str, late: int = 0) -> Rollout:
    dated = [Dated(kind, 10, 10 - late, 0, late, 0, 0.1, 0.2, 0.2) for kind in kinds]
    return Rollout("v1.36.3", 200, 2000, 100.0, 0, {"date": 1}, dated)


def test_a_test_is_in_the_first_row_that_has_it() -> None:
    assert of("tests/live/test_bad_days.py", KILLED) == "restart"
    assert of("tests/live/test_bad_days.py", "test_stopping_is_quick_and_clean") == "bad days"
    assert of("tests/contract/test_lists.py", "test_limit_gives_pages[real]") == "contract"


def test_every_suite_has_tests() -> None:
    for suite in SUITES:
        for file in suite.files:
            assert (ROOT / file).exists(), file


def test_what_failed_and_what_was_left_out_is_said_with_its_reason() -> None:
    truth = Outcome(passed=1, failed=["test_truth"], left_out={"test_other": "kine has no snapshots"}, again=["test_x"])
    page = report.page(Results({"kubernetes-1.34": played(truth=truth)}))
    assert "| v1.34.4 | etcd | 3 passed | 2 passed, **1 failed**, 1 left out |" in page
    assert "- v1.34.4 on etcd: **failed** `test_truth`" in page
    assert "- v1.34.4 on etcd: left out `test_other`: kine has no snapshots" in page
    assert "`test_x` passed when it was run once more, alone" in page
    assert "| LIST of `pods` | cache |" in page
    assert "| LIST of `events` | store |" in page
    assert "| evidence `date` | 50% |" in page


def test_a_failure_a_missing_suite_and_a_late_event_are_none_of_them_promised() -> None:
    assert played().holds
    assert not played(truth=Outcome(passed=1, failed=["test_truth"])).holds
    assert not replace(played(), outcomes={}).holds
    late = replace(played().probe, verdicts={"on_time": 99, "ambiguous": 0, "late": 1})
    assert not replace(played(), probe=late).holds


def test_a_rollout_holds_if_every_kind_is_dated_and_nothing_is_late() -> None:
    kinds = ("pod bound", "pod status", "pod evicted", "lease")
    assert rollout(*kinds).holds
    assert not rollout(*kinds[:-1]).holds
    assert not rollout(*kinds, late=1).holds
    assert not replace(rollout(*kinds), contradictions=1).holds


def test_results_survive_their_file() -> None:
    results = Results({"kubernetes-1.34": played()}, rollout("lease"), "today")
    assert Results.parse(results.text()) == results


def test_the_published_page_follows_from_its_results_and_has_every_server() -> None:
    results = Results.parse(RESULTS.read_text(encoding="utf-8"))
    assert (DOCS / "support.md").read_text(encoding="utf-8") == report.page(results)
    assert results.servers.keys() == set(SERVERS)
    assert results.rollout is not None


def pod(revision: int, *, node: str | None = None, deleted: bool = False, phase: str = "Pending") -> Json:
    metadata: Json = {"uid": "1", "name": "a", "resourceVersion": str(revision)}
    if deleted:
        metadata["deletionTimestamp"] = "now"
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": {"phase": phase}}


@pytest.mark.parametrize(("evicted", "kind"), [({"a"}, "pod evicted"), (set(), "pod deleted")])
def test_an_event_is_told_by_how_its_object_was_before(evicted: set[str], kind: str) -> None:
    kinds = Kinds(evicted)
    kinds.take("pods", WatchEvent("ADDED", pod(1), 0.0))
    kinds.take("pods", WatchEvent("MODIFIED", pod(2, node="n"), 0.0))
    kinds.take("pods", WatchEvent("MODIFIED", pod(3, node="n", phase="Running"), 0.0))
    kinds.take("pods", WatchEvent("MODIFIED", pod(4, node="n", phase="Running", deleted=True), 0.0))
    assert not kinds.are_all_gone()
    kinds.take("pods", WatchEvent("DELETED", pod(5, node="n", phase="Running", deleted=True), 0.0))
    assert kinds.are_all_gone()
    assert list(kinds.of_revision.values()) == ["pod created", "pod bound", "pod status", kind, "pod gone"]
