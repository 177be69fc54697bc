"""What is found is told in the log and in metrics for as long as it is so, and as what it is about is there."""

import pytest
from msgspec.structs import replace

from exporter.diagnosis.facts import Facts
from exporter.diagnosis.tracking import WITHDRAWN_AFTER_SECONDS
from exporter.metrics.registry import Metrics
from exporter.metrics.series import Gauge
from exporter.service.diagnosing import Diagnosing
from tests.diagnosis.cases import CASES

SHOWN, _ = CASES["apiserver_unreachable"]


def fault_series(metrics: Metrics) -> list[float | None]:
    [children] = [made for family, made in metrics.families() if family.name == "watchslo_fault"]
    return [child.value for child in children if isinstance(child, Gauge)]


async def found() -> tuple[Metrics, Diagnosing]:
    """What says that an apiserver cannot be reached."""
    metrics = Metrics(1.0, 0.99, 60.0)
    diagnosing = Diagnosing(metrics)
    for seconds in range(0, 12, 2):
        await diagnosing.take(replace(SHOWN, now=SHOWN.now + seconds))
    assert [one.fault for one in diagnosing.findings] == ["apiserver_unreachable"]
    assert sum(filter(None, fault_series(metrics))) == 1
    return metrics, diagnosing


def healthy(seconds: float) -> Facts:
    return Facts(now=SHOWN.now + seconds, threshold_seconds=1.0)


async def test_what_is_withdrawn_has_series_that_say_so() -> None:
    metrics, diagnosing = await found()
    await diagnosing.take(healthy(10 + WITHDRAWN_AFTER_SECONDS))
    assert diagnosing.findings == []
    assert fault_series(metrics) == [0, 0]


async def test_what_is_withdrawn_when_its_apiserver_is_gone_gets_no_series_anew() -> None:
    metrics, diagnosing = await found()
    metrics.remove_apiserver(diagnosing.findings[0].apiserver)
    await diagnosing.take(healthy(10 + WITHDRAWN_AFTER_SECONDS))
    assert diagnosing.findings == []
    assert fault_series(metrics) == []
    assert metrics.fault_changes["apiserver_unreachable"].value == 2


async def test_nothing_is_found_while_nobody_can_look(caplog: pytest.LogCaptureFixture) -> None:
    metrics, diagnosing = await found()
    assert diagnosing.give_up() == (set(), set())
    assert (diagnosing.findings, diagnosing.past) == ([], [])
    assert fault_series(metrics) == [0, 0]
    diagnosing.give_up()
    assert [record.message for record in caplog.records] == ["fault found", "fault withdrawn"], "once"
    for seconds in range(12, 24, 2):
        await diagnosing.take(replace(SHOWN, now=SHOWN.now + seconds))
    assert [one.fault for one in diagnosing.findings] == ["apiserver_unreachable"]
    assert sum(filter(None, fault_series(metrics))) == 1
