"""What a row opens to: verdicts, evidence, ends, a histogram, the hours before, the log, late objects, queries."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, Any

from exporter.diagnosis.sentences import MOST_NAMES, Survey, advised, concerns
from exporter.diagnosis.wording import listed
from exporter.diagnosis.words import (
    CONDITION_WORDS,
    END_WORDS,
    RELIST_WORDS,
    SOURCE_WORDS,
    with_value,
)
from exporter.history.recording import COARSE_SECONDS, COARSE_STEPS
from exporter.vocabulary import VERDICTS
from exporter.web.page import plot
from exporter.web.page.cards import advice, finding
from exporter.web.page.figures import STAGE_WORDS, between, count, moment, per_second, text
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.history.notes import Note
    from exporter.measure.late_objects import LateObject
    from exporter.measure.stream_state import StreamState
    from exporter.web.page.look import Look

TABLE_STEPS = 15
FEWEST_STEPS = 30
TOGETHER_SECONDS = 3.0
"""What happens to several streams within this time is said in one line."""


STAGE_MEDIAN = (
    "histogram_quantile(0.5, rate(watchslo_stage_upper_seconds{%s}[5m])) "  # native, or else classic
    "or histogram_quantile(0.5, rate(watchslo_stage_upper_seconds_bucket{%s}[5m]))"
)
JUDGED = "rate(watchslo_events_judged_total{%s}[5m])"
QUERIES = (
    ("P99 at least", "watchslo_p99_lower_seconds{%s}"),
    ("P99 at most", "watchslo_p99_upper_seconds{%s}"),
    ("State", "watchslo_slo_state{%s} == 1"),
    ("Ratio of each verdict", f"{JUDGED} / ignoring(verdict) group_left sum without (verdict) ({JUDGED})"),
    ("Events per second", "sum(rate(watchslo_events_total{%s}[5m]))"),
    ("Stages, median at most", STAGE_MEDIAN),
    ("Ends by reason", "increase(watchslo_watch_ends_total{%s}[1h]) > 0"),
    ("Forced closes", "increase(watchslo_forced_closes_total{%s}[1h])"),
    ("Seconds without a watch", "increase(watchslo_uncovered_seconds_total{%s}[1h])"),
)


def body(state: StreamState, look: Look) -> Iterator[str]:
    """All of it, a part in each step."""
    history, counts = look.history.stream(state), state.counts
    coarse = list(history.coarse)
    shown = max(FEWEST_STEPS, coarse_steps(look))
    frame = plot.Frame(look.now, COARSE_SECONDS, shown, 900, 180, left=56, bottom=22)
    threshold = look.objective.threshold_seconds
    trouble = state.trouble.error if state.trouble is not None and look.has_errors else ""
    if trouble:
        yield f'<p class="trouble">{text(trouble)}</p>'
    yield from map(advice, advised(state))
    survey = Survey(look.findings, look.past_findings)
    survey.add(state)
    found = [*[one for one in look.findings if concerns(one, state)], *survey.explaining]
    yield from (finding(one, look, is_open=True, says=True) for one in found)
    yield _part("P99, for up to six hours", plot.timeline(coarse, threshold, frame) + _table(state, look), "wide")
    yield _part("ApiserverTimeSpan in seconds, since the start", plot.histogram(counts.time_span, threshold), "wide")
    yield _part("Verdicts, since the start", numbers(_verdicts(state)))
    yield _part("Commits dated by, since the start", numbers(_nonzero(counts.evidence, SOURCE_WORDS)))
    yield _part("Ends of watches, since the start", numbers(_nonzero(counts.ends, END_WORDS)))
    yield _part("Lists, since the start", numbers(_nonzero(counts.relists, RELIST_WORDS)))
    yield _part("Log", notes(list(history.notes), look, with_place=False), "wide")
    yield _part("Late objects, the newest first", _late_objects(state.late_objects, look), "wide")
    yield _part("As PromQL", _queries(state), "wide")


def coarse_steps(look: Look) -> int:
    """How many steps of a minute there are."""
    began = look.history.began
    return min(COARSE_STEPS, ceil((look.now - began) / COARSE_SECONDS)) if began else 0


def _part(heading: str, content: str, kind: str = "") -> str:
    return f'<section class="part {kind}"><h2>{heading}</h2>{content}</section>'


def _verdicts(state: StreamState) -> list[tuple[str, str]]:
    judged = state.counts.judged
    whole = max(1, sum(judged.values()))
    return [
        (verdict.replace("_", " "), f"{count(judged[verdict])} ({100 * judged[verdict] / whole:.2f} %)")
        for verdict in VERDICTS
    ]


def _nonzero(counted: Mapping[Any, int], words: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(with_value(words[what], str(what)), count(times)) for what, times in counted.items() if times]


def numbers(rows: Iterable[tuple[str, str]]) -> str:
    """Figures, each with what it is of."""
    said = "".join(f"<div><dt>{text(what)}</dt><dd>{text(number)}</dd></div>" for what, number in rows)
    return f"<dl>{said}</dl>" if said else '<p class="soft">none</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table that scrolls by itself where it is wider than the screen; cells are HTML already."""
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table><caption class="unseen">'
        f"{caption}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _table(state: StreamState, look: Look) -> str:
    rows = [
        (
            moment(step.at, look.now),
            CONDITION_WORDS[step.condition],
            between(step.p99),
            per_second(step.events_per_second),
            count(step.late),
            *[between(step.stages.get(stage)) for stage in STAGE_WORDS],
        )
        for step in look.history.stream(state).coarse.last(TABLE_STEPS)
    ]
    heads = ("UTC", "state", "P99", "events/s", "late", *STAGE_WORDS.values())
    written = table(heads, reversed(rows), f"The last {TABLE_STEPS} minutes of {text(state.name)}")
    return f"<details class=inner><summary>The last {TABLE_STEPS} minutes as a table</summary>{written}</details>"


def notes(noted: Sequence[Note], look: Look, *, with_place: bool) -> str:
    """The newest first."""
    if not noted:
        return '<p class="soft">Nothing of note so far.</p>'
    return f'<ol class="log">{"".join(_note(one, look, with_place=with_place) for one in _together(noted))}</ol>'


def _note(same: Sequence[Note], look: Look, *, with_place: bool) -> str:
    first, times = same[0], sum([note.times for note in same])
    often = f' <span class="soft">{times} times</span>' if times > len(same) else ""
    place = ""
    if with_place:
        names = [kind_name(note.group, note.resource) for note in same if note.resource]
        wheres = [note.apiserver for note in same if note.apiserver]
        place = " on ".join(listed(reversed(some), MOST_NAMES) for some in (names, wheres) if some)
        place = f'<span class="soft">{text(place)}</span> '
    return f"<li>{moment(first.at, look.now)} {place}{text(first.text)}{often}</li>"


def _together(noted: Sequence[Note]) -> Iterator[list[Note]]:
    """The newest first, with the same thing on several streams as one."""
    same: list[Note] = []
    for note in sorted(noted, key=lambda one: (floor(one.at / TOGETHER_SECONDS), one.text), reverse=True):
        if same and (note.text != same[0].text or same[0].at - note.at > TOGETHER_SECONDS):
            yield same
            same = []
        same.append(note)
    if same:
        yield same


def _late_objects(late: Sequence[LateObject], look: Look) -> str:
    if not late:
        return '<p class="soft">No event was certainly late.</p>'
    rows = [
        (
            moment(one.at, look.now),
            one.event_type,
            text(one.name) or '<span class="soft">not read</span>',
            str(one.revision or ""),
            between(one.latency),
            STAGE_WORDS[one.slowest] if one.slowest else "not certain",
        )
        for one in reversed(late)
    ]
    names = "The first ones have no name: names are read only while events are late."
    if not look.has_names:
        names = "Names are switched off (--web.no-object-names)."
    heads = ("UTC", "event", "object", "revision", "took", "most of it")
    note = f'<p class="soft">{names}</p>' if any(not one.name for one in late) else ""
    return table(heads, rows, "Late objects") + note


def _queries(state: StreamState) -> str:
    labels = f'apiserver="{state.apiserver}", group="{state.group}", resource="{state.resource}"'
    items = []
    for what, query in QUERIES:
        written = text(query.replace("%s", labels))
        items.append(
            f'<li><span>{what}</span><code class="query" tabindex="0">{written}</code>'
            f'<button type="button" class="copy" hidden aria-label="Copy the query: {what}">Copy</button></li>'
        )
    return f'<ul class="queries">{"".join(items)}</ul>'
