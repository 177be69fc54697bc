"""The whole page, and the parts of it that change: each part has an id, under which the script finds it.

Everything is made in steps, between which the event loop may run: an exporter may have hundreds of streams.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from exporter.diagnosis.sentences import SEVERE_FIRST, Survey, advised, is_over
from exporter.diagnosis.words import DOUBT_WORDS, INTERRUPTED_WORDS, WHOSE
from exporter.history.recording import FINE_SECONDS
from exporter.vocabulary import WELL
from exporter.web.page import plot
from exporter.web.page.body import body, notes
from exporter.web.page.cards import advice, finding
from exporter.web.page.figures import moment, text
from exporter.web.page.row import CANARY_LABEL, STAGES_LABEL, recorded, row_id, steps_shown, summary
from exporter.web.page.startup import startup
from exporter.wording.moments import clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping, Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.measure.stream_state import StreamState
    from exporter.web.page.look import Look
    from exporter.web.page.row import Drawn

ROWS_WITH_BODIES = 12
"""More rows than these open by a request each: the page stays small."""

NOTES_SHOWN = 20
TROUBLED = {"violated": 0, "down": 0, "interrupted": 1}

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text(encoding="utf-8")
SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='6.5' fill='none' stroke='%231f7a5c' stroke-width='2'/%3E"
    "%3Cpath d='M8 4v4l3 2' fill='none' stroke='%231f7a5c' stroke-width='2'/%3E%3C/svg%3E"
)


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def policy(*, has_form: bool) -> str:
    """The Content-Security-Policy: nothing but our own style and script, and nothing from elsewhere."""
    form = "'self'" if has_form else "'none'"
    return (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; img-src data:; "
        f"base-uri 'none'; form-action {form}; frame-ancestors 'none'"
    )


class Prepared(NamedTuple):
    """What has to be known of all streams before one part is made."""

    said: list[str]
    """The sentences."""
    findings: Sequence[Finding]
    """Those of now, and past ones that explain what the window still has."""
    top_seconds: float
    """The top of the plots of all rows, so that they can be compared."""


def prepared(look: Look, drawn: MutableMapping[str, Drawn]) -> Generator[None, None, Prepared]:
    """Look at one stream in each step; `drawn` keeps what need not be read and drawn again."""
    survey, highest = Survey(look.findings, look.past_findings), 0.0
    for state in look.states:
        survey.add(state)
        highest = max(highest, recorded(state, look, drawn).highest_seconds)
        yield
    said = survey.sentences(look.now)
    yield
    top_seconds = plot.top_of_all(highest, look.objective.threshold_seconds)
    return Prepared(said, (*look.findings, *survey.explaining), top_seconds)


def parts(look: Look, known: Prepared, drawn: MutableMapping[str, Drawn]) -> Iterator[tuple[str, str]]:
    """The parts that change, by their ids."""
    yield "now", _now(look)
    yield "sentence", _sentence(look, known.said)
    yield "span", _span(look)
    yield "findings", _findings(look, known)
    states = in_order(look.states)
    yield "order", " ".join(row_id(state) for state in states)
    for state in states:
        yield f"s-{row_id(state)}", summary(state, look, known.top_seconds, drawn)
    yield "startup", startup(look)
    yield "log", notes(look.history.notes[-NOTES_SHOWN:], look, with_place=True)
    yield "scenario", _scenario_now(look)


def page(look: Look, made: Mapping[str, str], version: int, opened: str | None = None) -> Iterator[str]:
    """The page around the parts; `opened` is the row that is open from the start."""
    yield (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>watchslo</title>'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="{ICON}"><style>{STYLE}</style></head>'
        f'<body data-version="{version}"><header><a class="brand" href="./">watchslo</a>'
        f'{_source(look)}<p class="slo">{_objective(look)}</p>{_live(made["now"])}'
        f'<p class="whose">{WHOSE}</p></header><main>'
    )
    yield f'<h1 id="sentence" aria-live="polite">{made["sentence"]}</h1>'
    yield f'<div id="findings">{made["findings"]}</div>'
    yield f'<section aria-label="Streams">{plot.legend(look.objective.threshold_seconds)}{_heads(made["span"])}'
    states = in_order(look.states)
    yield f'<ul id="rows" class="rows" data-order="{made["order"]}">'
    for state in states:
        is_open = row_id(state) == opened
        has_body = is_open or len(states) <= ROWS_WITH_BODIES
        yield from row(state, made, body(state, look) if has_body else (), is_open=is_open)
    yield f'</ul></section><div id="startup">{made["startup"]}</div>{_scenarios(look, made)}'
    yield f'<section class="events"><h2>Log</h2><div id="log">{made["log"]}</div></section></main>'
    yield f"{_footer(look)}<script>{SCRIPT}</script></body></html>"


def row(state: StreamState, made: Mapping[str, str], opened: Iterable[str], *, is_open: bool) -> Iterator[str]:
    """One row; without a body it has a link that opens it without a script."""
    key = row_id(state)
    yield f'<li id="r-{key}"><details data-key="{key}"{" open" if is_open else ""}>'
    yield f'<summary class="line" id="s-{key}">{made[f"s-{key}"]}</summary><div class="body" id="b-{key}">'
    yield from opened or [f'<p><a href="?open={key}#r-{key}">Open this row</a></p>']
    yield "</div></details></li>"


def in_order(states: Sequence[StreamState]) -> list[StreamState]:
    """What is in certain trouble first; else by name, so that rows stay where they are."""
    rank = {one.shown_condition: TROUBLED.get(one.shown_condition, len(TROUBLED)) for one in states}
    return sorted(states, key=lambda one: (rank[one.shown_condition], one.apiserver, one.group, one.resource))


def _heads(span: str) -> str:
    return (
        '<div class="heads" aria-hidden="true"><span>Resource</span><span>State</span>'
        f'<span id="span">{span}</span><span>Events/s</span><span>Mean time of each stage<br>{STAGES_LABEL}</span>'
        f"<span>Watch</span><span>{CANARY_LABEL[:1].upper()}{CANARY_LABEL[1:]}</span>"
        "<span>Measured to within</span></div>"
    )


def _span(look: Look) -> str:
    minutes = steps_shown(look) * FINE_SECONDS // 60
    return f"P99 over {look.objective.window_seconds:g} s: now, and the last {minutes} minutes"


def _objective(look: Look) -> str:
    slo = look.objective
    return f"{slo.ratio * 100:g} % within {slo.threshold_seconds:g} s, over {slo.window_seconds:g} s"


def _source(look: Look) -> str:
    """A demo says so where nobody overlooks it: its troubles are made."""
    return '<p class="tag">simulated apiserver</p>' if look.scenarios is not None else ""


def _now(look: Look) -> str:
    return f"as of {clock(look.now)} UTC"


def _live(now: str) -> str:
    """How old what is shown is, and why it is old; the script fills in what is empty."""
    return (
        '<p class="now"><span class="live" role="status"><b id="live"></b><span id="age" aria-live="off"></span>'
        f'<span id="why"></span></span> <span id="now">{now}</span>'
        "<noscript>; scripts are off: reload for newer</noscript></p>"
    )


def _sentence(look: Look, said: Sequence[str]) -> str:
    first, *rest = said
    more = f' <span class="rest">{text(" ".join(rest))}</span>' if rest else ""
    return f'<span class="first is-{_kind(look)}">{text(first)}</span>{more}'


def _kind(look: Look) -> str:
    """The most severe condition; what is over, or is found while all is well, does not look like it."""
    kind = min((one.shown_condition for one in look.states), key=SEVERE_FIRST.index, default="quiet")
    if kind in WELL:
        return "unknown" if any(one.seen_until is None for one in look.findings) else kind
    is_past = all(is_over(one, look.findings) for one in look.states if one.shown_condition == kind)
    return f"{kind} is-over" if is_past else kind


def _findings(look: Look, known: Prepared) -> str:
    """One is open; of several the rows below would be out of sight. What the sentence says is not said again."""
    advices = {words for state in look.states for words in advised(state)}
    is_open = len(known.findings) == 1
    return "".join(
        [
            *[advice(one) for one in (*DOUBT_WORDS.values(), *INTERRUPTED_WORDS.values()) if one in advices],
            *[finding(one, look, is_open=is_open, says=one.claim not in known.said) for one in known.findings],
        ]
    )


def _scenario_now(look: Look) -> str:
    return text(look.scenarios.condition) if look.scenarios is not None else ""


def _scenarios(look: Look, made: Mapping[str, str]) -> str:
    if look.scenarios is None:
        return ""
    pressed = {name: "true" if name == look.scenarios.current else "false" for name in look.scenarios.descriptions}
    buttons = "".join(
        f'<button name="scenario" value="{text(name)}" title="{text(words)}" aria-pressed="{pressed[name]}">'
        f"{text(name.replace('-', ' '))}</button>"
        for name, words in look.scenarios.descriptions.items()
    )
    return (
        '<section class="demo" aria-label="Demo"><h2>Simulated apiserver</h2>'
        f'<p>Now: <span id="scenario">{made["scenario"]}</span>. Choose what goes wrong:</p>'
        f'<form method="post" action="scenario">{buttons}</form></section>'
    )


def _footer(look: Look) -> str:
    number, shards = look.shard
    part = "every stream that this exporter watches"
    if shards > 1:
        part = f"shard {number} of {shards} (from 0): the other streams are on the pages of the other shards"
    links = ", ".join(f'<a href="{text(url)}">{text(url)}</a>' for url in look.peers)
    peers = f" Pages of other exporters: {links}." if links else ""
    return (
        f"<footer><p>This page sees {part}.{peers} All latencies are intervals with certain bounds. The history of six "
        "hours is in memory: it is lost when this exporter restarts.</p>"
        '<nav aria-label="Other documents"><a href="metrics">Metrics</a> <a href="api/v1/status">Status</a> '
        '<a href="api/v1/history">History</a> '
        '<a href="api/v1/diagnosis">Diagnosis</a> <a href="livez">Liveness</a> <a href="readyz">Readiness</a></nav>'
        f"<p>watchslo {text(look.version)}; this page was opened at {moment(look.now, look.now)} UTC</p></footer>"
    )
