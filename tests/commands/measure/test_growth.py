import pytest

from exporter.commands.measure.growth import Growth, Labels, Moment
from exporter.measure.histogram import Histogram
from exporter.metrics.registry import Metrics
from exporter.vocabulary import HISTOGRAM_FORMATS, HistogramFormat

PODS, NODES = Labels("a:1", "", "pods"), Labels("a:1", "", "nodes")


def moment(metrics: Metrics) -> Moment:
    return Moment.of(metrics, ["a:1"])


def test_only_what_came_between_the_two_moments_counts() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    pods = metrics.resource(*PODS).counts
    pods.relists["gone"] += 5
    metrics.clock(*PODS, "cache").counts.seconds.observe(0.01, 3)
    before = moment(metrics)
    pods.relists["gone"] += 2
    pods.uncovered_seconds += 0.25
    metrics.resource(*NODES).counts.relists["start"] += 1
    metrics.clock(*PODS, "cache").counts.seconds.observe(0.01, 2)
    metrics.clock("a:1", "", "events", "revision").counts.seconds.observe(0.01)
    metrics.clock("a:1", "", "events", "revision").counts.failed["connect"] += 1
    growth = Growth(before, moment(metrics), 1.0)
    assert growth.of_stream(PODS).relists == {"start": 0, "gone": 2, "revision_went_back": 0}
    assert growth.of_stream(PODS).uncovered_seconds == 0.25
    assert growth.of_stream(NODES).relists["start"] == 1, "a series that is new began at 0"
    assert growth.of_stream(Labels("b:1", "", "pods")).uncovered_seconds == 0
    assert growth.of_polls("a:1") == {"ok": 3, "error": 1}


def test_a_series_that_was_dropped_and_is_back_has_not_shrunk() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    metrics.resource(*PODS).counts.relists["gone"] += 5
    before = moment(metrics)
    metrics.remove_resource(*PODS)
    metrics.resource(*PODS).counts.relists["gone"] += 2
    assert Growth(before, moment(metrics), 1.0).of_stream(PODS).relists["gone"] == 2
    metrics.remove_resource(*PODS)
    assert Growth(before, moment(metrics), 1.0).of_stream(PODS).relists["gone"] == 0


@pytest.mark.parametrize("histograms", HISTOGRAM_FORMATS)
def test_starts_of_pods_at_an_apiserver_that_is_new_or_back_began_at_0(histograms: HistogramFormat) -> None:
    metrics = Metrics(1.0, 0.99, 60, histograms)
    metrics.startup("a:1").counts.lower["total"].observe(2.0, times=5)
    before = moment(metrics)
    metrics.startup("a:1").counts.lower["total"].observe(2.0)
    metrics.startup("b:1").counts.lower["total"].observe(4.0)
    starts = Growth(before, moment(metrics), 1.0).of_startups()
    assert {name: counts.lower["total"].count for name, counts in starts.items()} == {"a:1": 1, "b:1": 1}
    assert starts["b:1"].lower["total"].quantile(0.5) == (3.0, 4.0)
    metrics.remove_apiserver("a:1")
    metrics.startup("a:1").counts.lower["total"].observe(2.0, times=2)
    assert Growth(before, moment(metrics), 1.0).of_startups()["a:1"].lower["total"].count == 2


def test_a_quantile_is_the_bucket_that_holds_it() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    metrics.loop_lag.observe(9.0)
    before = moment(metrics)
    assert Growth(before, before, 1.0).loop_lag.quantile(0.99) is None
    metrics.loop_lag.observe(0.002, times=99)
    metrics.loop_lag.observe(0.2)
    lag = Growth(before, moment(metrics), 1.0).loop_lag
    assert (lag.count, round(lag.sum, 6)) == (100, 0.398)
    assert lag.quantile(0.99) == (0.001, 0.0025)
    assert lag.quantile(1.0) == (0.1, 0.25)


def test_what_no_bucket_bounds_has_no_upper_end() -> None:
    histogram = Histogram([1.0, 0.5])
    histogram.observe(7.0)
    assert histogram.quantile(0.99) == (1.0, float("inf"))
