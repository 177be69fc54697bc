from exporter.expose.metrics import Metrics
from exporter.once.growth import Growth, snapshot


def test_only_what_came_between_the_two_moments_counts() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    pods = metrics.resource("a:1", "", "pods")
    pods.relists["gone"].inc(5)
    before = snapshot(metrics)
    pods.relists["gone"].inc(2)
    pods.uncovered_seconds.inc(0.25)
    metrics.resource("a:1", "", "nodes").relists["start"].inc()
    growth = Growth(before, snapshot(metrics))
    assert growth.by("reason", "relists_total", resource="pods") == {"start": 0, "gone": 2, "revision_went_back": 0}
    assert growth.by("reason", "relists_total")["start"] == 1, "a series that is new began at 0"
    assert growth.sum("uncovered_seconds_total", apiserver="a:1", group="", resource="pods") == 0.25
    assert growth.sum("uncovered_seconds_total", apiserver="b:1") == 0


def test_a_series_that_was_dropped_and_is_back_has_not_shrunk() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    metrics.resource("a:1", "", "pods").relists["gone"].inc(5)
    before = snapshot(metrics)
    metrics.remove_resource("a:1", "", "pods")
    metrics.resource("a:1", "", "pods").relists["gone"].inc(2)
    growth = Growth(before, snapshot(metrics))
    assert growth.by("reason", "relists_total", resource="pods")["gone"] == 2


def test_a_quantile_is_the_bucket_that_holds_it() -> None:
    metrics = Metrics(1.0, 0.99, 60)
    metrics.loop_lag.observe(9.0)
    before = snapshot(metrics)
    assert Growth(before, before).quantile("loop_lag_seconds", 0.99) is None
    for _ in range(99):
        metrics.loop_lag.observe(0.002)
    metrics.loop_lag.observe(0.2)
    growth = Growth(before, snapshot(metrics))
    assert growth.quantile("loop_lag_seconds", 0.99) == (0.001, 0.0025)
    assert growth.quantile("loop_lag_seconds", 1.0) == (0.1, 0.25)
