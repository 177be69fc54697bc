"""Exposition text for tests, in few words."""

from exporter.server_metrics.between import ServerReading
from exporter.server_metrics.families import SAMPLES, Samples
from exporter.server_metrics.text import Numbers, TextParser


def numbers(*lines: str, wanted: Samples = SAMPLES) -> Numbers:
    """What the parser makes of these lines."""
    parser = TextParser(wanted)
    parser.feed("\n".join(lines).encode())
    return parser.finish()


def reading(at: float, *lines: str, started_at: float = 100.0, wanted: Samples = SAMPLES) -> ServerReading:
    """One of a process that began then."""
    return ServerReading(at, numbers(f"process_start_time_seconds {started_at}", *lines, wanted=wanted))


def histogram(name: str, labels: str, total: float, buckets: dict[str, float]) -> list[str]:
    """Its lines; the count is +Inf's."""
    before = f"{labels}," if labels else ""
    lines = [f'{name}_bucket{{{before}le="{bound}"}} {count}' for bound, count in buckets.items()]
    braces = f"{{{labels}}}" if labels else ""
    return [*lines, f"{name}_sum{braces} {total}", f"{name}_count{braces} {buckets['+Inf']}"]
