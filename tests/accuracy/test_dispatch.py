"""What is made of the two pages: means of the same events, and when they contradict each other."""

from math import inf

import pytest

from tests.accuracy.dispatch import STAGES, Compared, Dispatch, Means, Stage, theirs
from tests.real.custom_resources import CustomResource

PAGE = """
# TYPE apiserver_watch_events_dispatch_duration_seconds histogram
apiserver_watch_events_dispatch_duration_seconds_bucket{group="a.test",resource="gadgets",stage="total",le="+Inf"} 4
apiserver_watch_events_dispatch_duration_seconds_sum{group="a.test",resource="gadgets",stage="total"} 8.5
apiserver_watch_events_dispatch_duration_seconds_count{group="a.test",resource="gadgets",stage="total"} 4
apiserver_watch_events_dispatch_duration_seconds_sum{group="",resource="pods",stage="total"} 1
apiserver_watch_events_dispatch_duration_seconds_count{group="",resource="pods",stage="total"} 1000
"""


def compared(*, theirs_seconds: float, lower: float, upper: float) -> Compared:
    return Compared("conversion", 15, [Stage(stage, theirs_seconds, lower, upper) for stage in STAGES])


def test_a_mean_is_of_what_came_since_and_of_one_resource() -> None:
    now = theirs(PAGE, CustomResource("a.test", "gadgets"))
    assert now == Means({"total": 8.5}, {"total": 4.0})
    assert now.since(Means({"total": 0.5}, {"total": 2.0})) == {"total": 4.0}
    assert now.since(Means({}, {})) == {"total": pytest.approx(8.5 / 4)}
    assert now.since(now) == {"total": inf}


def test_an_apiserver_that_measured_more_than_we_say_it_was_at_most_contradicts_us() -> None:
    assert compared(theirs_seconds=2.0, lower=1.9, upper=2.1).holds
    assert not compared(theirs_seconds=2.2, lower=1.9, upper=2.1).holds
    assert not compared(theirs_seconds=0.0, lower=1.9, upper=2.1).holds, "where did the watch cache's time go?"


def test_what_was_compared_survives_its_file_and_is_shown() -> None:
    found = Dispatch("v1.37.2", [compared(theirs_seconds=2.0052, lower=1.9, upper=2.1)], "2026-11-28")
    assert Dispatch.parse(found.text()) == found
    assert "| `both` | `total` 2.005 s | 1.900 and 2.100 s |" in found.section()
