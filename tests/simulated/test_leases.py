"""Leases say to the microsecond when they were renewed, each by its holder's clock; how good that is varies."""

import asyncio
from pathlib import Path

from exporter.measure.judging import Judgement
from exporter.measure.write_times import is_apiservers_own
from exporter.simulator import Renewals, Simulator
from exporter.simulator.clock import WallClock
from exporter.simulator.renewals import IDENTITY_LABELS
from exporter.simulator.resources import LEASES as LEASES_KIND
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Observed, observed
from tests.support.truth import HEALTHY_SECONDS, assert_contains_the_truth

LEASES = LEASES_KIND.name
CLOCK_ERROR_SECONDS = 0.05
SLOW_POLLS = ("--revision-clock.hz", "0.5", "--annotation.clock-error", str(CLOCK_ERROR_SECONDS))
WELL_KNOWN_SECONDS = 0.5
"""An apiserver's offset is known better than this, and polls are four times further apart."""


def earlier_seconds(exporter: Observed, simulator: Simulator, *, apiservers: bool) -> list[float]:
    """How much earlier than the truth the bounds begin, of apiservers' own leases or of all others; the least first."""

    def seconds(judgement: Judgement) -> float:
        commit = simulator.truth.committed(LEASES, judgement.event.revision or 0)
        assert commit is not None
        return commit.committed_seconds - judgement.dated.commit.earliest

    judgements = [(judgement, judgement.event.lease) for judgement in exporter.of("leases")]
    return sorted(seconds(judged) for judged, lease in judgements if lease and is_apiservers_own(lease) == apiservers)


async def test_renewals_narrow_what_slow_polls_leave_wide(tmp_path: Path) -> None:
    async with Simulator() as simulator, Renewals(simulator, period_seconds=0.5):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", LEASES, *SLOW_POLLS)
        # Far from ours: by the flag these leases would say next to nothing, by what their Dates have taught a lot.
        simulator.apiserver.clock.offset_seconds = -12.3
        async with observed(*flags, "--apiserver", simulator.url) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("evidence_total", source="managed_fields") > 0)
            exporter.judgements.clear()
            await asyncio.sleep(HEALTHY_SECONDS * 2)
            scrape = await exporter.scrape()
            assert assert_contains_the_truth(exporter, simulator, LEASES) > 30
    of_nodes = earlier_seconds(exporter, simulator, apiservers=False)
    assert of_nodes[len(of_nodes) // 2] < 2 * CLOCK_ERROR_SECONDS
    of_apiservers = earlier_seconds(exporter, simulator, apiservers=True)
    assert of_apiservers[len(of_apiservers) // 2] < WELL_KNOWN_SECONDS
    assert scrape.sum("evidence_total", source="lease") == scrape.sum("events_judged_total")
    assert scrape.sum("contradictions_total") == 0
    assert scrape.sum("events_judged_total", verdict="late") == 0


async def test_a_holder_ahead_contradicts_and_one_behind_says_nothing_new(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", LEASES)
        renewals = Renewals(simulator, nodes=2, period_seconds=0.2)
        ahead, behind = renewals.node_clocks
        ahead.offset_seconds, behind.offset_seconds = 30.0, -30.0
        async with observed(*flags) as exporter:
            await asyncio.sleep(1)  # the first poll after the start tells history from news
            async with renewals:
                await asyncio.sleep(HEALTHY_SECONDS)
            await asyncio.sleep(1)
            scrape = await exporter.scrape()
            assert_contains_the_truth(exporter, simulator, LEASES)
    by_name: dict[str, list[Judgement]] = {}
    for judgement in exporter.of("leases"):
        assert judgement.event.lease is not None
        by_name.setdefault(judgement.event.lease.metadata.name, []).append(judgement)
    assert all("lease" in judgement.dated.contradictions for judgement in by_name["node-1"])
    assert not [judgement for judgement in by_name["node-2"] if judgement.dated.contradictions]
    assert scrape.sum("contradictions_total", source="lease") == len(by_name["node-1"]) > 10
    assert scrape.sum("evidence_total", source="lease") == len(exporter.of("leases"))
    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="on_time") > 0.9 * scrape.sum("events_judged_total")


async def test_an_apiservers_lease_that_contradicts_the_dates_is_counted_and_not_believed(tmp_path: Path) -> None:
    async with Simulator() as simulator, Renewals(simulator, nodes=0, period_seconds=0.5):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", LEASES)
        # By the flag alone an hour ahead would be possible.
        more = ("--annotation.clock-error", "3600", "--apiserver", simulator.url)
        async with observed(*flags, *more) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("evidence_total", source="managed_fields") > 0)
            assert (await exporter.scrape()).sum("contradictions_total") == 0
            metadata = {"namespace": "kube-system", "name": "apiserver-ahead", "labels": IDENTITY_LABELS}
            spec = {"renewTime": WallClock(offset_seconds=5.0).micro_timestamp()}
            await simulator.apiserver.registry.create(LEASES_KIND, {"metadata": metadata, "spec": spec}, manager="x")
            await exporter.wait_for(lambda scrape: scrape.sum("contradictions_total", source="lease") == 1)
            assert_contains_the_truth(exporter, simulator, LEASES)
