"""The row of one stream: what is seen of it before anybody opens it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2s
from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

from exporter.diagnosis.sentences import is_news, is_over, seconds
from exporter.diagnosis.words import (
    CLOCK_WORDS,
    CONDITION_WORDS,
    DOUBT_WORDS,
    END_WORDS,
    SOURCE_WORDS,
    interrupted,
    over,
)
from exporter.history.recording import FINE_SECONDS
from exporter.measure.times import Interval
from exporter.web.page import plot
from exporter.web.page.figures import (
    CONDITION_MEANINGS,
    NOTHING,
    ago,
    between,
    count,
    moment,
    per_second,
    since,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from exporter.history.recording import StreamHistory
    from exporter.history.steps import Band, Step
    from exporter.measure.stream_state import StreamState
    from exporter.vocabulary import ClockReads
    from exporter.web.page.look import Look

FEWEST_STEPS, MOST_STEPS = 18, 90
"""Three minutes at first, a quarter of an hour when there is so much."""

STAGES_LABEL = (
    '<span class="key"><i class="key-store"></i>store to cache</span> '
    '<span class="key"><i class="key-client"></i>cache to client</span>'
)
CANARY_LABEL = SOURCE_WORDS["canary"]
NO_CANARY = "This exporter writes nothing here: what others write is measured, and a quiet watch stays unjudged."
CANARY_TROUBLES = {"lost": ("violated", "canary lost"), "failed": ("unknown", "write failed")}
"""Each looks like a condition that is as severe."""

OVER = "Every event that was judged since then is certainly on time."
TRUST_LABEL = "measured to within"
DATED_BY: Mapping[ClockReads, str] = {
    "store": "dated by the store",
    "another_cache": "dated by another watch cache",
    "own_cache": "dated by its own watch cache",
    "nothing": "nothing dates it",
}


def row_id(state: StreamState) -> str:
    """The same for the same stream, and fit for an id in HTML and a query in a URL."""
    return _hash(f"{state.apiserver} {state.group} {state.resource}")


@lru_cache(maxsize=4096)
def _hash(name: str) -> str:
    return blake2s(name.encode(), digest_size=6).hexdigest()


class Drawn(NamedTuple):
    """What is drawn of a stream, for as long as nothing new is recorded of it."""

    recorded: tuple[StreamHistory, float, int]
    latest: Step | None
    highest_seconds: float
    """Of all bounds of the P99 that are shown."""
    last_open: Band | None = None
    """The last step with a watch and a P99."""
    top_seconds: float = 0.0
    svg: str = ""


def summary(state: StreamState, look: Look, top: float, drawn: MutableMapping[str, Drawn]) -> str:
    """The row, its plot up to `top`."""
    history = look.history.stream(state)
    kept = _drawn(state, look, top, drawn)
    latest = kept.latest
    return "".join(
        [
            _name(state),
            _state(state, look),
            _p99(state, kept, look),
            _cell("rate", "events/s", per_second(latest.events_per_second) if latest else NOTHING),
            _stages(latest, look),
            _watch(state, history, look),
            _canary(state, look),
            _trust(state, latest),
        ]
    )


def recorded(state: StreamState, look: Look, kept: MutableMapping[str, Drawn]) -> Drawn:
    """Read what is new in the history of this stream."""
    key, shown, history = row_id(state), steps_shown(look), look.history.stream(state)
    as_of = (history, history.recorded_at, shown)
    known = kept.get(key)
    if known is None or known.recorded != as_of:
        bands = list(history.fine.bands(shown))
        is_open = (band for band in reversed(bands) if band.condition != "down" and band.p99 is not None)
        latest, highest = next(history.fine.last(1), None), plot.highest_seconds(bands)
        known = kept[key] = Drawn(as_of, latest, highest, next(is_open, None))
    return known


def _drawn(state: StreamState, look: Look, top: float, kept: MutableMapping[str, Drawn]) -> Drawn:
    known = recorded(state, look, kept)
    if known.top_seconds != top:
        history, _, shown = known.recorded
        frame = plot.Frame(max(0.0, history.recorded_at), FINE_SECONDS, shown, 200, 40)
        svg = plot.band(list(history.fine.bands(shown)), look.objective.threshold_seconds, top, frame)
        known = kept[row_id(state)] = known._replace(top_seconds=top, svg=svg)
    return known


def steps_shown(look: Look) -> int:
    """How much of the last time the plots of all rows show: what there is, within limits."""
    began = look.history.began
    return max(FEWEST_STEPS, min(MOST_STEPS, ceil((look.now - began) / FINE_SECONDS))) if began else FEWEST_STEPS


def _name(state: StreamState) -> str:
    group = f'<wbr><span class="group">.{text(state.group)}</span>' if state.group else ""
    return (
        f'<span class="name"><b>{text(state.resource)}</b>{group} '
        f'<span class="soft">{text(state.apiserver)}</span></span>'
    )


def _cell(kind: str, label: str, main: str, more: str = "", title: str = "") -> str:
    """A figure under its label; `label` and `more` are HTML already."""
    tooltip = f' title="{text(title)}"' if title else ""
    return (
        f'<span class="cell {kind}"{tooltip}><span class="label">{label}</span> '
        f'<span class="figure">{text(main)}</span>'
        f"{f' <span class=more>{more}</span>' if more else ''}</span>"
    )


def _state(state: StreamState, look: Look) -> str:
    condition, when = state.shown_condition, ""
    is_told_below = state.doubt is not None and state.fading is not None and state.fading.began is not None
    if state.since is not None and condition != "interrupted" and not is_told_below:
        when = f' <span class="since">{since(state.since, look.now, is_since_start=state.is_since_start)}</span>'
    words, kind = CONDITION_WORDS[condition], f"is-{condition}"
    if is_over(state, look.findings):
        words, kind = f"{'was ' if condition == 'violated' else ''}{words}", f"{kind} is-over"
    meaning = CONDITION_MEANINGS[condition]
    return f'<span class="state {kind}" title="{meaning}">{words}{when}{_why(state, look)}</span>'


def _why(state: StreamState, look: Look) -> str:
    """What the condition alone does not say."""
    said, words, fading = "", DOUBT_WORDS[state.doubt] if state.doubt is not None else None, state.fading
    short, clause = (words.short, words.clause) if words is not None else ("", OVER)
    if fading is not None:
        began, ended, leaves = [moment(at, look.now) if at is not None else "" for at in fading]
        said = f' <span class="why soft" title="{clause}">{over(short, began, ended, leaves)}</span>'
    elif words is not None:
        said = f' <span class="why" title="{clause}">{short}</span>'
    run = state.interruptions
    if state.is_interrupted and run.since is not None:
        what = interrupted(run.forced_closes, run.relists)
        but = f"{CONDITION_WORDS[state.condition]}, but " if state.shown_condition == "interrupted" else ""
        said += f' <span class="why">{but}{what}, first at {moment(run.since, look.now)}</span>'
    return said


def _p99(state: StreamState, kept: Drawn, look: Look) -> str:
    """That of now; without a watch the last one, which looks old."""
    lower, upper = state.window.p99_lower_seconds, state.window.p99_upper_seconds
    if state.is_up:
        known = Interval(lower, upper) if lower is not None and upper is not None else None
        is_unsure = state.shown_condition == "unknown" or is_over(state, look.findings)
        kind = "p99 unsure" if is_unsure else "p99"
        return _cell(kind, "P99", between(known), kept.svg)
    last, words = kept.last_open, NOTHING
    if last is not None:
        words = f"last P99 {between(last.p99)}, {ago(look.now - last.at - FINE_SECONDS)}"
    return _cell("p99 old", "P99", words, kept.svg)


def _stages(latest: Step | None, look: Look) -> str:
    stages = latest.stages if latest is not None else {}
    delivery = [between(stages[one]) for one in plot.AFTER_THE_COMMIT if one in stages]
    bar = plot.stage_bar(stages, look.objective.threshold_seconds)
    whole = f"The whole bar is {look.objective.threshold_seconds:g} s, or all of the time if that is longer."
    return _cell("stages", STAGES_LABEL, " + ".join(delivery) or "not measured", bar, whole)


def _watch(state: StreamState, history: StreamHistory, look: Look) -> str:
    end, main = history.last_end, "open" if state.is_up else "not open"
    if end is None:
        return _cell("stream", "watch", main, "no end seen")
    ended = f"last end: {END_WORDS[end.reason]} {moment(end.at, look.now)}"
    return _cell("stream", "watch", main, ended, f'reason="{end.reason}"')


def _canary(state: StreamState, look: Look) -> str:
    """What went wrong lately stands out; what was before is only counted."""
    counts, trouble = state.counts, state.canary_trouble
    known = counts.canary_delivery.count + counts.canaries_lost
    if not known and not counts.canary_writes:
        return _cell("canary", CANARY_LABEL, "none set up", title=NO_CANARY)
    half = counts.canary_delivery.quantile(0.5)
    lost = f"{count(counts.canaries_lost)} of {count(known)} lost"
    if counts.canary_write_failures:
        lost += f", {count(counts.canary_write_failures)} not written"
    if not counts.canary_writes:
        lost += ", written through another apiserver"
    if trouble is not None and is_news(trouble, look.now):
        kind, words = CANARY_TROUBLES[trouble.what]
        return _cell(f"canary is-{kind}", CANARY_LABEL, words, f"last at {moment(trouble.at, look.now)}; {lost}")
    return _cell("canary", CANARY_LABEL, f"within {seconds(half.latest)}" if half else NOTHING, lost)


def _trust(state: StreamState, latest: Step | None) -> str:
    width = latest.width_seconds if latest is not None else None
    contradictions = sum(state.counts.contradictions.values())
    reads = state.revision_clock.reads
    more = DATED_BY[reads]
    if contradictions:
        more = f"{more}, {count(contradictions)} contradicted"
    main = NOTHING
    if width is not None:
        main = f"\N{PLUS-MINUS SIGN}{seconds(width / 2)}" if width < inf else "no bound"
    return _cell("trust", TRUST_LABEL, main, more, f'{CLOCK_WORDS[reads]} (reads="{reads}")')
