"""Leases on the real apiserver: their holders' microseconds are evidence, and kube-apiserver is a holder itself."""

import asyncio
from pathlib import Path

import pytest

from exporter.measure.judging import Judgement
from exporter.measure.write_times import is_apiservers_own
from tests.live.holders import Holder
from tests.real.cluster import Cluster
from tests.support.observing import observed
from tests.support.waiting import wait_until


def judged(holder: Holder, judgements: list[Judgement]) -> list[Judgement]:
    """Those of the holder's renewals that were judged, each with bounds that the truth lies in."""
    its_own = [judgement for judgement in judgements if judgement.event.revision in holder.renewals]
    for judgement in its_own:
        sent, answered = holder.renewals[judgement.event.revision or 0]
        assert judgement.dated.commit.earliest <= answered
        assert judgement.dated.commit.latest >= sent
    assert its_own
    return its_own


@pytest.mark.timeout(120)
async def test_renew_times_are_evidence_and_a_holder_ahead_of_us_only_a_contradiction(
    listed_cluster: Cluster, tmp_path: Path
) -> None:
    cluster = listed_cluster
    flags = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--apiserver", cluster.apiserver.url)
    honest, ahead, behind = Holder("honest"), Holder("ahead", ahead_seconds=30), Holder("behind", ahead_seconds=-30)
    async with observed(*flags, "--resource", "leases.coordination.k8s.io") as exporter, cluster.client() as client:

        def of_the_apiserver() -> list[Judgement]:
            leases = [(judgement, judgement.event.lease) for judgement in exporter.of("leases")]
            return [judgement for judgement, lease in leases if lease is not None and is_apiservers_own(lease)]

        await asyncio.sleep(1)  # the first poll after the start tells history from news
        async with honest.renewing(client), ahead.renewing(client), behind.renewing(client):
            await wait_until(lambda: bool(of_the_apiserver()), "kube-apiserver renews its lease", timeout_seconds=60)
        scrape = await exporter.wait_for(lambda scrape: scrape.sum("evidence_total", source="managed_fields") > 0)

    assert scrape.sum("events_judged_total", verdict="late") == 0
    assert scrape.sum("events_judged_total", verdict="on_time") > 0.9 * scrape.sum("events_judged_total")
    for judgement in (*judged(honest, exporter.of("leases")), *of_the_apiserver()):
        assert "lease" in judgement.dated.sources
        assert not judgement.dated.contradictions
    for judgement in judged(ahead, exporter.of("leases")):
        assert judgement.dated.contradictions == ("lease",)
    for judgement in judged(behind, exporter.of("leases")):
        assert "lease" in judgement.dated.sources
        assert not judgement.dated.contradictions
    assert scrape.sum("contradictions_total") == scrape.sum("contradictions_total", source="lease") > 0
