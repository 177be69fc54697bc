"""The exporter: whether to trust the other dashboards, and what measuring costs."""

from typing import Final

from dashboards import panels
from dashboards.panels import QUARTER, THIRD, Panel, Query
from dashboards.query import APISERVER, EXPORTER, buckets, flowing, grown, p99, rate, series, total

ANY: Final = {1.0: panels.UNKNOWN}
FAILED: Final = 'result="error"'


def rows() -> dict[str, list[Panel]]:
    """Its panels, by the title of their row."""
    return {"Now": _now(), "How sure it is": _certainty(), "What it costs": _cost()}


def _now() -> list[Panel]:
    polls = rate("clock_polls_total", scope=APISERVER)
    return [
        panels.number(
            "Exporters down",
            "none",
            f"count({_of_exporters(f'up{{{EXPORTER}}} == 0')}) or vector(0)",
            {1: panels.VIOLATED},
        ).description("Exporters that Prometheus cannot scrape at this moment."),
        panels.number("Contradictions", "none", total("contradictions_total"), ANY)
        .decimals(0)
        .description(
            "Pieces of evidence that cannot be true together, in the time range chosen above. They were left out. A "
            "few after a clock was set are harmless."
        ),
        panels.number("Events not measured", "none", total("events_unmeasured_total"), ANY)
        .decimals(0)
        .description("Live events without a usable interval, in the time range chosen above."),
        panels.number("Lines not decoded", "none", total("decode_errors_total"), ANY)
        .decimals(0)
        .description("Lines of a watch that made no sense, in the time range chosen above."),
        panels.number(
            "Event loop lag, P99",
            "s",
            p99("loop_lag_seconds", scope=EXPORTER),
            {0.1: panels.UNKNOWN, 1: panels.VIOLATED},
        ).description(
            "How late the exporter's own event loop runs. Its lag makes events ambiguous, never late. Above 0.1 s the "
            "exporter needs more CPU."
        ),
        panels.number(
            "Failed polls",
            "percentunit",
            f"sum({rate('clock_polls_total', FAILED, scope=APISERVER)}) / sum({polls})",
            {0.01: panels.UNKNOWN, 0.5: panels.VIOLATED},
        ).description("Share of the clocks' polls that failed. Without answers the intervals are wide."),
    ]


def _certainty() -> list[Panel]:
    offset_at_most, offset_at_least = (
        series(f"clock_offset_{bound}_seconds", scope=APISERVER) for bound in ("upper", "lower")
    )
    return [
        panels.heat_map("Width of the intervals", buckets("interval_width_seconds")).description(
            "How far the two bounds of an event's time span are apart. About one poll period is normal; if it is as "
            "wide as the threshold, little can be judged."
        ),
        panels.lines(
            "Evidence, by source", "cps", Query(flowing("evidence_total", "cluster, source"), "{{source}} {{cluster}}")
        )
        .span(THIRD)
        .description(
            "Live events per second about whose commit a source said something. The revision clock should speak about "
            "nearly all of them."
        ),
        panels.bars(
            "What was left out",
            Query(grown("contradictions_total", "cluster, source"), "contradiction, {{source}} {{cluster}}"),
            Query(grown("events_unmeasured_total", "cluster, reason"), "not measured, {{reason}} {{cluster}}"),
        )
        .span(THIRD)
        .description(
            "Contradictions by the source that was left out, and events without a usable interval by reason. No data "
            "is good."
        ),
        panels.lines(
            "Clock offset of each apiserver",
            "s",
            Query(f"max by (cluster, apiserver) ({offset_at_most})", "{{apiserver}} {{cluster}}, at most"),
            Query(f"min by (cluster, apiserver) ({offset_at_least})", "{{apiserver}} {{cluster}}, at least"),
        ).description(
            "The apiserver's wall clock is ahead of the exporter's host by something between the two. "
            "A jump: a clock was set."
        ),
        panels.lines(
            "Time of a poll, P99",
            "s",
            Query(
                p99("clock_poll_seconds", by="cluster, clock, apiserver", scope=APISERVER),
                "{{clock}} @ {{apiserver}} {{cluster}}",
            ),
        ).description(
            "How long a clock's poll waits for its answer. Slow answers are no lag, but they widen intervals."
        ),
    ]


def _cost() -> list[Panel]:
    requests = flowing("apiserver_requests_total", "cluster, purpose", APISERVER)
    in_flight = flowing("apiserver_request_seconds_total", "cluster, purpose", APISERVER)
    cpu = _of_exporters(f"rate(process_cpu_seconds_total{{{EXPORTER}}}[$__rate_interval])")
    memory = _of_exporters(f"process_resident_memory_bytes{{{EXPORTER}}}")
    return [
        panels.amounts("Requests to apiservers", "reqps", Query(requests, "{{purpose}} {{cluster}}"))
        .span(QUARTER)
        .description("Requests per second that the exporter sends, to all apiservers together."),
        panels.amounts("Requests in flight", "short", Query(in_flight, "{{purpose}} {{cluster}}"))
        .span(QUARTER)
        .description(
            "How many requests wait for an answer on average. Each takes a seat of API Priority and Fairness."
        ),
        panels.lines("CPU", "short", Query(cpu, "{{instance}} {{cluster}}"))
        .span(QUARTER)
        .description("Processor cores that the exporter uses. It cannot use more than one."),
        panels.lines("Memory", "bytes", Query(memory, "{{instance}} {{cluster}}"))
        .span(QUARTER)
        .description("Resident memory. It is bounded, whatever the event rate."),
    ]


def _of_exporters(expression: str) -> str:
    """Without what has the same metrics: All jobs are really all of them."""
    return (
        f"{expression} and on (cluster, job, instance) last_over_time({series('build_info', scope=EXPORTER)}[$__range])"
    )
