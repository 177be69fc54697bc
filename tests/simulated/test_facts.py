"""The facts of a running exporter: what is slow in the simulator is slow in them, and nothing else."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from exporter.diagnosis.facts import ApiserverFacts, Facts, StreamFacts
from exporter.service import observer
from exporter.service.daemon import Exporter, load_credentials
from exporter.service.diagnosing import Diagnosing
from exporter.simulator import Simulator, Workload
from tests.diagnosis.cases import CASES
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.waiting import wait_until


class Told:
    """The last facts, and what they say of one."""

    def __init__(self) -> None:
        self.exporter: Exporter | None = None

    @property
    def facts(self) -> Facts:
        told = self.exporter.diagnosing.facts if self.exporter is not None else None
        return told or Facts(now=0.0, threshold_seconds=1.0)

    def stream(self, apiserver: str, resource: str) -> StreamFacts:
        [found] = [one for one in self.facts.streams if (one.apiserver, one.resource) == (apiserver, resource)]
        return found

    def apiserver(self, name: str) -> ApiserverFacts:
        [found] = [one for one in self.facts.apiservers if one.apiserver == name]
        return found


async def test_a_cache_that_is_behind_shows_at_its_apiserver_and_resource_alone(tmp_path: Path) -> None:
    told = Told()
    async with Simulator(apiservers=2) as simulator, Workload(simulator, rate_per_second=60):
        one, other = (f"{apiserver.host}:{apiserver.port}" for apiserver in simulator.apiservers)
        flags = [word for apiserver in simulator.apiservers for word in ("--apiserver", apiserver.url)]
        settled = config(
            "--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes", *flags
        )
        exporter = told.exporter = Exporter(settled, await load_credentials(settled))
        async with exporter.running():
            await wait_until(lambda: len(told.facts.streams) == 4, "all are observed")
            await wait_until(
                lambda: all(state.revision_clock.same_store for state in exporter.states()),
                "they are proven to be in one store",
            )
            await wait_until(lambda: told.stream(one, "pods").is_on_time, "events come in time")
            healthy = told.stream(one, "pods")
            assert healthy.socket is not None
            assert healthy.socket.round_trip_seconds > 0
            assert healthy.cache_still_seconds is not None
            assert told.apiserver(one).store_polls_read == "store"
            await wait_until(lambda: told.apiserver(one).way_back is not None, "Dates count")
            simulator.apiservers[0].faults.storage_to_cache.set(6.0, "pods")
            await wait_until(lambda: told.stream(one, "pods").undelivered_seconds > 2, "a revision is missing")
            assert told.stream(one, "pods").is_undelivered_cached is False
            await wait_until(lambda: told.stream(one, "pods").is_late, "events are late")
            behind = told.stream(one, "pods")
            assert behind.late_since is not None
            assert behind.storage_to_cache is not None
            assert behind.storage_to_cache.latest > 1.0
            assert told.apiserver(one).store_polls.answered > 10
            assert told.apiserver(one).cache_polls.answered > 10
            for fine in (told.stream(one, "nodes"), told.stream(other, "pods"), told.stream(other, "nodes")):
                assert not fine.is_late
                assert fine.late_since is None
                assert fine.undelivered_seconds < 3
            assert told.facts.process.loop_lag is not None
            await asyncio.sleep(0)


async def test_a_bug_in_the_diagnosis_does_not_end_the_measurement_and_leaves_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[float] = []

    async def fails(_: Diagnosing, facts: Facts) -> set[str]:
        looks.append(facts.now)
        raise KeyError(facts.now)

    async with Simulator() as simulator, Workload(simulator, rate_per_second=60):
        settled = config("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        exporter = Exporter(settled, await load_credentials(settled))
        unreachable, _ = CASES["apiserver_unreachable"]
        for seconds in range(0, 12, 2):
            await exporter.diagnosing.take(replace(unreachable, now=unreachable.now + seconds))
        assert exporter.findings
        monkeypatch.setattr(Diagnosing, "take", fails)
        monkeypatch.setattr(observer, "PERIOD_SECONDS", 0.2)
        async with exporter.running():
            await wait_until(lambda: len(looks) > 2, "it is tried again")
            assert exporter.findings == []
            judged = sum(exporter.states()[0].counts.judged.values())
            await wait_until(lambda: sum(exporter.states()[0].counts.judged.values()) > judged, "events are judged")
    assert caplog.text.count("no diagnosis: this is a bug in watchslo") == 1
