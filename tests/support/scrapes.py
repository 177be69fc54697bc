"""What scrapes say."""

from tests.support.observing import Scrape


def is_up(apiserver: str, scrape: Scrape) -> bool:
    return scrape.values("stream_up", apiserver=apiserver) == [1.0]


SLOW_SECONDS = 1.5


def certainly_slow(scrape: Scrape, stage: str) -> float:
    """How many events certainly spent more than a second in the stage."""
    name, labels = "stage_lower_seconds_bucket", {"resource": "pods", "stage": stage}
    return scrape.sum(name, le="+Inf", **labels) - scrape.sum(name, le="1.0", **labels)


def perhaps_slow(scrape: Scrape, stage: str) -> float:
    """How many events may have spent more than a second in the stage."""
    name, labels = "stage_upper_seconds_bucket", {"resource": "pods", "stage": stage}
    return scrape.sum(name, le="+Inf", **labels) - scrape.sum(name, le="1.0", **labels)
