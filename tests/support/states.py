"""States of streams for tests of what only reads them."""

from typing import Any

from msgspec.structs import replace

from exporter.measure.stream_state import StreamCounts, StreamState
from exporter.measure.window import WindowReport
from exporter.vocabulary import SloState, Verdict
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


def look(*states: StreamState, now: float = 1_700_000_000.0, **more: Any) -> Look:
    """What the page shows of them."""
    objective = Objective(ratio=0.99, threshold_seconds=1.0, window_seconds=60.0)
    return Look(now=now, version="1.2.3", objective=objective, states=states, **more)


def page(*states: StreamState, demo: Demo | None = None) -> Page:
    """A page that shows them."""
    return Page(lambda: look(*states), demo)
