"""The page at /: what this is, links, and the streams of the status as one plain table.

It renders the status document as HTML: no scripts, nothing loaded from elsewhere, every value escaped.
Of the columns it only knows which numbers are counted since the start, and which are of the window.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite

_SINCE_START = frozenset({"on_time", "late", "ambiguous", "starts", "relists", "forced_closes"})
_OF_WINDOW = {
    "state": "state of the window",
    "window_events": "events in the window",
    "p99_lower_seconds": "P99 of the window at least, seconds",
    "p99_upper_seconds": "P99 of the window at most, seconds",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>watchslo</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }}
body {{ margin: 0 auto; max-width: 70rem; padding: 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ font-weight: bold; text-align: start; }}
th, td {{ border-bottom: 1px solid; padding: 0.25rem 1rem 0.25rem 0; text-align: start; }}
</style>
</head>
<body>
<main>
<h1>watchslo {version}</h1>
<p>How late are my Kubernetes watches, and whose fault is it? A Prometheus exporter for ApiserverTimeSpan.</p>
<p>SLO: {objective} of the events of a rolling window of {window} within {threshold}.</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="api/v1/status">Status as JSON</a></li>
<li><a href="livez">Liveness</a></li>
<li><a href="readyz">Readiness</a></li>
</ul>
{streams}
</main>
</body>
</html>
"""


def page(version: str, slo: Mapping[str, float], streams: Sequence[Mapping[str, object]]) -> str:
    """The whole page.

    `slo` has `objective_ratio`, `window_seconds` and `threshold_seconds`; each stream is a flat mapping, its keys are
    the columns.
    """
    return _PAGE.format(
        version=escape(version),
        objective=f"{slo['objective_ratio'] * 100:g} %",
        window=f"{slo['window_seconds']:g} s",
        threshold=f"{slo['threshold_seconds']:g} s",
        streams=_table(streams) if streams else "<p>No stream yet.</p>",
    )


def _table(streams: Sequence[Mapping[str, object]]) -> str:
    columns = list(dict.fromkeys(column for stream in streams for column in stream))
    heads = "".join(f'<th scope="col">{escape(_head(column))}</th>' for column in columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(stream.get(column))}</td>" for column in columns) + "</tr>" for stream in streams
    )
    return (
        '<div class="wide" role="region" aria-label="Streams" tabindex="0">\n<table>\n<caption>Streams</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _head(column: str) -> str:
    words = _OF_WINDOW.get(column, column.replace("_", " "))
    return f"{words} since the start" if column in _SINCE_START else words


def _cell(value: object) -> str:
    match value:
        case None:
            return "\N{EN DASH}"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}" if isfinite(value) else "no limit"
        case _:
            return escape(str(value))
