"""With every apiserver known, stamps say what few polls leave open; a lease's microseconds say more than seconds do."""

from pathlib import Path

import pytest

from tests.live.compare import quantile
from tests.live.narrowing import narrowing, on_time_ratio
from tests.real.cluster import Cluster

SECONDS = 6.0


@pytest.mark.timeout(120)
async def test_stamps_turn_ambiguous_events_into_events_on_time(listed_cluster: Cluster, tmp_path: Path) -> None:
    measured = await narrowing(listed_cluster, tmp_path, SECONDS)
    alone, stamps, renew_times = (
        quantile([judgement.latency.width for judgement in judgements], 0.5)
        for judgements in (measured.polls_alone, measured.and_stamps, measured.and_renew_times)
    )
    assert renew_times < stamps < alone / 1.5
    assert on_time_ratio(measured.polls_alone) < on_time_ratio(measured.and_stamps)
    everything = [*measured.polls_alone, *measured.and_stamps, *measured.and_renew_times]
    assert not [judgement for judgement in everything if judgement.dated.contradictions]
    assert not [judgement for judgement in everything if judgement.verdict == "late"]
