"""What the simulator knows, against what the exporter judged."""

from exporter.simulator import Simulator
from tests.support.observing import Observed

HEALTHY_SECONDS = 3.0


CLOCK_RESOLUTION_SECONDS = 1e-6


def assert_contains_the_truth(exporter: Observed, simulator: Simulator, name: str = "pods") -> int:
    """Every judged interval contains the true commit; no verdict contradicts the true latency. Returns how many."""
    judgements = exporter.of(name.split(".", maxsplit=1)[0])
    # To several watches it was sent one after the other: this one is not among the later ones for certain.
    sent: dict[int, float] = {}
    for delivery in simulator.truth.deliveries(name):
        sent.setdefault(delivery.revision, delivery.sent_seconds)
    assert judgements
    for judgement in judgements:
        revision = judgement.event.revision
        assert revision is not None
        commit = simulator.truth.committed(name, revision)
        if commit is None:
            continue  # of a history that was rolled back
        truth = commit.committed_seconds
        earliest, latest = judgement.dated.commit
        assert earliest - CLOCK_RESOLUTION_SECONDS <= truth <= latest + CLOCK_RESOLUTION_SECONDS, judgement
        assert sent[revision] <= judgement.arrival.latest, judgement
        true_latency = sent[revision] - truth
        if judgement.verdict == "late":
            assert true_latency > 1.0 - CLOCK_RESOLUTION_SECONDS, judgement
        if judgement.verdict == "on_time":
            assert true_latency <= 1.0, judgement
    return len(judgements)
