"""Results as a measurement would make them, with what a test does not care for filled in."""

from typing import Any

from exporter.commands.measure.result import ApiserverResult, Quantiles, Result, StreamResult

NONE = Quantiles(p50_lower_seconds=None, p50_upper_seconds=None, p99_lower_seconds=None, p99_upper_seconds=None)
SOME = Quantiles(p50_lower_seconds=0.0, p50_upper_seconds=0.1, p99_lower_seconds=0.05, p99_upper_seconds=0.25)


def stream(state: str = "met", **more: Any) -> StreamResult:
    """A stream that is up and fine, but for what is said."""
    settled: dict[str, Any] = {
        "apiserver": "10.0.0.1:6443",
        "group": "",
        "resource": "pods",
        "state": state,
        "stream": "up",
        "trouble": None,
        "events": 100,
        "on_time": 100,
        "late": 0,
        "ambiguous": 0,
        "latency": SOME,
        "width_p50_seconds": 0.1,
        "width_p99_seconds": 0.2,
        "stages": {},
        "stream_ends": {"timeout": 1, "gone": 0},
        "relists": {"start": 0, "gone": 0, "revision_went_back": 0},
        "uncovered_seconds": 0.0,
        "canaries_lost": 0,
        "owes_canary": False,
        "contradictions": {"date": 0},
        "revision_clock": "events",
        "undecodable": 0,
        "is_covered": True,
    }
    return StreamResult(**(settled | more))


def quiet(**more: Any) -> StreamResult:
    """A stream on which nothing happens."""
    nothing = {"resource": "nodes", "events": 0, "on_time": 0, "latency": NONE}
    return stream("quiet", **(nothing | {"width_p50_seconds": None, "width_p99_seconds": None} | more))


def result(*streams: StreamResult, **more: Any) -> Result:
    """Sixty seconds of these streams."""
    settled: dict[str, Any] = {
        "version": "1.2.3",
        "asked_seconds": 60.0,
        "measured_seconds": 60.01,
        "threshold_seconds": 1.0,
        "objective_ratio": 0.99,
        "streams": streams,
        "apiservers": [ApiserverResult(apiserver="10.0.0.1:6443", polls_answered=300, polls_failed=2)],
        "loop_lag_p99_seconds": 0.005,
    }
    return Result(**(settled | more))
