"""States of streams for tests of what only reads them."""

from math import inf
from typing import Any

from msgspec.structs import replace

from exporter.measure.startup_counts import StartupCounts, StartupState, StartupWindow
from exporter.measure.stream_state import StreamCounts, StreamState
from exporter.measure.times import Interval
from exporter.measure.window import WindowReport
from exporter.vocabulary import SloState, StartupStage, Verdict
from exporter.web.page.live import Demo, Page
from exporter.web.page.look import Look, Objective

APISERVER = "10.0.0.1:6443"


def state(
    resource: str = "pods", slo: SloState = "met", p99: tuple[float, float] | None = (0.05, 0.12), **more: Any
) -> StreamState:
    """One stream with an open watch."""
    lower, upper = p99 or (None, None)
    window = WindowReport(600, 0, 0, slo, lower, upper, upper)
    fields = {"apiserver": APISERVER, "group": "", "is_up": True, "trouble": None, "counts": counts(), **more}
    return StreamState(resource=resource, window=window, **fields)


def counts(judged: dict[Verdict, int] | None = None, **more: Any) -> StreamCounts:
    """Counters of which some are given."""
    none = StreamCounts.none(1.0)
    return replace(none, judged={**none.judged, **(judged or {})}, **more)


def startup(*, is_anything_known: bool = True) -> StartupState:
    """Of ten pods whose pulls are known and two whose are not, five that are stateful, and three that start now."""
    found, window = StartupCounts.none(), StartupWindow()
    if not is_anything_known:
        return StartupState(found)
    found.results |= {"sli": 10, "sli_pull_unknown": 2, "stateful": 5}
    known: dict[StartupStage, float] = {"scheduled": 0.2, "total": 4.0, "watches": 0.1}
    for stage, seconds in known.items():
        window.add(stage, Interval(seconds, seconds + 0.5), 0.0)
        found.lower[stage].observe(seconds)
        found.upper[stage].observe(seconds + 0.5)
    window.add("sli", Interval(1.0, inf), 0.0)
    return StartupState(found, window.quantiles(0.0), starting=3)


def look(*states: StreamState, now: float = 1_700_000_000.0, **more: Any) -> Look:
    """What the page shows of them."""
    objective = Objective(ratio=0.99, threshold_seconds=1.0, window_seconds=60.0)
    return Look(now=now, version="1.2.3", objective=objective, states=states, **more)


def page(*states: StreamState, demo: Demo | None = None) -> Page:
    """A page that shows them."""
    return Page(lambda: look(*states), demo)
