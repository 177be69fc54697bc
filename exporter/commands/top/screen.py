"""The screen of `watchslo top`: the sentence, a row for each stream, and the open row, or pods' starts and the log.

It fits 80 columns.
"""

from __future__ import annotations

import textwrap
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import astuple
from rich.console import Group
from rich.table import Table
from rich.text import Text

from exporter.diagnosis.sentences import seconds
from exporter.diagnosis.words import CLOCK_WORDS, CONDITION_WORDS, DOUBT_WORDS, END_WORDS, WHOSE, interrupted, over
from exporter.measure.startup_counts import WINDOW_SECONDS
from exporter.vocabulary import STARTUP_STAGES
from exporter.web.page.figures import STARTUP_WORDS
from exporter.wording.kinds import kind_name
from exporter.wording.moments import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import ConsoleDimensions, RenderableType

    from exporter.commands.top.choice import Choice
    from exporter.commands.top.documents import Noted, PodStartup, Seen, StreamStatus, TopRow

LOOKS = {
    "violated": "bold red",
    "down": "bold magenta",
    "unknown": "yellow",
    "interrupted": "bold yellow",
    "met": "green",
    "quiet": "dim",
}
STAGES = {"storage_to_cache": "to cache", "cache_to_client": "to client"}
BARS = 10
BLOCKS = "▁▂▃▄▅▆▇█"
HELP = "q quit  s sort  / filter  up, down select  Enter open  Esc back"
FEWEST_ROWS, LINES_OF_ALL_ELSE, STARTUP_LINES, NOTES = 3, 5, 11, 5


def screen(seen: Seen, choice: Choice, size: ConsoleDimensions, trouble: str | None) -> RenderableType:
    """All of it, on so large a screen; `trouble` says why what is shown is old."""
    rows = choice.shown(seen.rows)
    selected = choice.place(rows)
    starts = startup(seen.status.streams)
    head = _head(seen, choice, len(rows), trouble)
    detail = list(_detail(choice, rows, selected)) if choice.is_open else []
    below = sum(len(_wrapped(one.plain, size)) for one in detail) if detail else (STARTUP_LINES if starts else 0) + 1
    free = size.height - LINES_OF_ALL_ELSE - len(_wrapped(head.plain, size)) - FEWEST_ROWS - below
    sentence = _cut(_wrapped(seen.status.sentence, size), max(1, free))
    whose = _wrapped(WHOSE, size)
    if free < len(sentence) + len(whose):
        whose = []  # the sentence is what somebody has come for
    free = max(0, free - len(sentence) - len(whose))
    notes = min(NOTES, 1 + free)
    room = FEWEST_ROWS + (free if detail else free - notes + 1)
    first = max(0, min((selected or 0) - room // 2, len(rows) - room))
    parts: list[RenderableType] = [head, *[Text(line, style="dim") for line in whose], *map(Text, sentence), Text()]
    parts.append(table(rows[first : first + room], None if selected is None else selected - first))
    if detail:
        parts += [Text(), *detail]
    else:
        parts += [*starts, Text(), *log(seen.past.notes[-notes:])]
    footer = f"filter: {choice.filter}_" if choice.is_typing else HELP if choice.has_keys else ""
    return Group(*parts, Text(), Text(footer, style="dim"))


def _wrapped(text: str, size: ConsoleDimensions) -> list[str]:
    """Its lines, as the screen would break them."""
    return textwrap.wrap(_plain(text), size.width, break_on_hyphens=False)


def _cut(lines: list[str], most: int) -> list[str]:
    """No more lines than these; the last says that there are more."""
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][:-1]}\N{HORIZONTAL ELLIPSIS}"]


def _head(seen: Seen, choice: Choice, rows: int, trouble: str | None) -> Text:
    slo = seen.status.slo
    words = f"watchslo  {slo.objective_ratio * 100:g} % within {slo.threshold_seconds:g} s  {clock(seen.past.at)} UTC"
    chosen = f"  {rows} of {len(seen.status.streams)}, by {choice.order}"
    chosen += f", with {choice.filter}" if choice.filter else ""
    return Text.assemble((words, "bold"), (chosen, "dim"), (f"  {trouble}" if trouble else "", "bold red"))


def table(rows: Sequence[TopRow], selected: int | None) -> Table:
    """A row for each stream."""
    made = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="dim")
    several = len({row.now.apiserver for row in rows}) > 1
    made.add_column("resource", no_wrap=True, ratio=2)
    if several:
        made.add_column("apiserver", no_wrap=True, ratio=2)
    made.add_column("state", no_wrap=True, min_width=11)
    made.add_column("P99", no_wrap=True, min_width=10)
    made.add_column(f"{BARS} min", no_wrap=True, min_width=BARS)
    made.add_column("ev/s", no_wrap=True, justify="right", min_width=4)
    made.add_column("slowest stage", no_wrap=True, ratio=2)
    for number, row in enumerate(rows):
        made.add_row(*_cells(row, is_several=several), style="reverse" if number == selected else "")
    return made


def _cells(row: TopRow, *, is_several: bool) -> Iterator[str | Text]:
    now = row.now
    yield _plain(now.name)
    if is_several:
        yield _plain(now.apiserver)
    yield Text(CONDITION_WORDS.get(now.condition, now.condition), style=LOOKS.get(now.condition, ""))
    # Without a watch it is the P99 of what came before.
    p99 = between(now.p99_lower_seconds, now.p99_upper_seconds) if now.stream == "up" else "-"
    yield Text(p99, style="dim" if now.condition == "unknown" else "")
    yield _bars(row)
    yield _rate(row)
    yield _slowest(row)


def between(lower: float | None, upper: float | None) -> str:
    """Bounds of a duration; without an upper one only the lower is known."""
    if lower is None:
        return "-"
    if upper is None or upper == inf:
        return f">= {seconds(lower)}"
    return f"{seconds(lower).removesuffix(' s')}-{seconds(upper)}"


def _bars(row: TopRow) -> Text:
    """The upper ends of the P99 of the last minutes, each as high as its share of the highest; no bound is the top."""
    text = Text()
    if row.past is None:
        return text
    coarse = row.past.coarse
    uppers, lowers = coarse.p99_upper_seconds[-BARS:], coarse.p99_lower_seconds[-BARS:]
    top = max([1e-9, *[one for one in uppers if one is not None]])
    for upper, lower, condition in zip(uppers, lowers, coarse.condition[-BARS:], strict=True):
        if lower is None:
            text.append(" ")
            continue
        share = 1.0 if upper is None else upper / top
        text.append(BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))], style=LOOKS.get(condition, ""))
    return text


def _rate(row: TopRow) -> str:
    rates = row.past.fine.events_per_second if row.past is not None else []
    rate = rates[-1] if rates else None
    return "-" if rate is None else f"{rate:.0f}"


def _slowest(row: TopRow) -> str:
    """The stage after the commit that takes most, by its lower end."""
    known = [(low, high, stage) for stage, (low, high) in _stages(row) if stage in STAGES and low is not None]
    if not known:
        return "-"
    low, high, stage = max(known, key=lambda one: (one[0], one[1] or inf))
    return f"{STAGES[stage]} {between(low, high)}"


def _stages(row: TopRow) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    if row.past is None:
        return
    for stage, bounds in row.past.fine.stages.items():
        if bounds.lower_seconds:
            yield stage, (bounds.lower_seconds[-1], bounds.upper_seconds[-1])


def _detail(choice: Choice, rows: Sequence[TopRow], selected: int | None) -> Iterator[Text]:
    """The open row, or that it is not there: another one would be taken for it."""
    if selected is not None:
        yield from opened(rows[selected])
    elif choice.selected is not None:
        apiserver, group, resource = choice.selected
        yield Text(_plain(f"{kind_name(group, resource)} on {apiserver} is not among these rows"), style="bold")


def opened(row: TopRow) -> Iterator[Text]:
    """What is known of one stream."""
    now, past = row.now, row.past
    reads = now.revision_clock_reads
    state = now.state if now.stream == "up" else "down"
    condition = f"{CONDITION_WORDS.get(state, state)}{_since(now)}{_uncertain(now)}"
    yield Text(f"{_plain(now.name)} on {_plain(now.apiserver)}: {condition}", style="bold")
    if now.advice:
        yield Text(_plain(now.advice))
    run = now.interruptions
    if run is not None and run.is_repeated and run.since is not None:
        what = interrupted(run.forced_closes, run.relists)
        yield Text(f"{what}, first at {clock(run.since)}")
    yield Text(f"on time {now.on_time}, late {now.late}, ambiguous {now.ambiguous} since the start")
    yield Text(f"forced closes {now.forced_closes}, relists {now.relists}; {CLOCK_WORDS.get(reads, reads)}{_why(now)}")
    yield from _canaries(now)
    if past is None:
        return
    if past.last_end is not None:
        reason = past.last_end.reason
        yield Text(f"last end at {clock(past.last_end.at)}: {END_WORDS.get(reason, reason)}")
    for stage, (low, high) in _stages(row):
        yield Text(f"{stage.replace('_', ' ')}: {between(low, high)}")
    for late in reversed(past.late_objects[-5:]):
        where = STAGES.get(late.slowest_stage or "", "stage not certain")
        what = _plain(late.name or f"revision {late.revision}")
        yield Text(f"{clock(late.at)} {late.event} {what}: {between(late.lower_seconds, late.upper_seconds)}, {where}")


def _canaries(now: StreamStatus) -> Iterator[Text]:
    """Another version does not say how many came."""
    known = now.canary_writes if now.canaries_arrived is None else now.canaries_arrived + now.canaries_lost
    if known or now.canary_writes or now.canaries_lost:
        failed = f", {now.canary_write_failures} not written" if now.canary_write_failures else ""
        elsewhere = "" if now.canary_writes else ", written through another apiserver"
        lost = f"canaries: {now.canaries_lost} of {known} lost{failed}{elsewhere}"
        yield Text(lost, style=LOOKS["violated"] if now.canaries_lost else "")


def _since(now: StreamStatus) -> str:
    if now.since is None:
        return ""
    return f" at least since {clock(now.since)}" if now.is_since_start else f" since {clock(now.since)}"


def _uncertain(now: StreamStatus) -> str:
    reason = now.doubt or now.unknown_reason
    words = DOUBT_WORDS.get(reason or "")
    short = words.short if words is not None else reason or ""
    if now.fading is not None:
        began, ended, leaves = [clock(at) if at is not None else "" for at in astuple(now.fading)]
        short = over(short, began, ended, leaves)
    return f", {_plain(short)}" if short else ""


def _why(now: StreamStatus) -> str:
    return f"; {_plain(now.trouble)}" if now.trouble else ""


def startup(streams: Iterable[StreamStatus]) -> list[RenderableType]:
    """What the page says of pods that start, in STARTUP_LINES; nothing without --pod-startup."""
    told = sorted(
        ((one.stream != "up", one.apiserver, one.pod_startup) for one in streams if one.pod_startup is not None),
        key=itemgetter(0, 1),
    )
    if not told:
        return []
    _, apiserver, starts = told[0]
    heading = Text.assemble(
        ("Pod start-up", "bold"),
        (f"  Of the last {WINDOW_SECONDS / 60:.0f} minutes, as {_plain(apiserver)} shows it", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    several = f"One of {len(told)} apiservers that each tell of all pods. " if len(told) > 1 else ""
    notes = f"{several}SLI: without image pulls and init containers. Late watches: an estimate."
    beside = Table.grid(padding=(0, 2, 0, 0))
    beside.add_row(_startup_stages(starts), Group(*map(Text, _startup_numbers(starts)), Text(notes, style="dim")))
    return [Text(), heading, beside]


def _startup_stages(starts: PodStartup) -> Table:
    made = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    made.add_column("stage", no_wrap=True)
    for name in ("P95", "P99"):
        made.add_column(name, no_wrap=True, min_width=11)
    for stage in STARTUP_STAGES:
        known = starts.stages.get(stage)
        p95 = between(known.p95_lower_seconds, known.p95_upper_seconds) if known else "-"
        p99 = between(known.p99_lower_seconds, known.p99_upper_seconds) if known else "-"
        made.add_row(STARTUP_WORDS[stage], p95, p99)
    return made


def _startup_numbers(starts: PodStartup) -> Iterator[str]:
    known, unknown = starts.pods.get("sli", 0), starts.pods.get("sli_pull_unknown", 0)
    lower, upper = starts.watches_share_lower, starts.watches_share_upper
    yield f"starting now: {starts.starting}"
    yield f"pods of the SLI, since the start: {known + unknown}"
    share = starts.unknown_share
    yield f"of these, pulls not known: {'-' if share is None else f'{unknown} ({share:.0%})'}"
    yield f"other pods, since the start: {sum(starts.pods.values()) - known - unknown}"
    yield f"share of late watches: {'-' if lower is None or upper is None else f'{lower:.1%}-{upper:.1%}'}"


def log(notes: Iterable[Noted]) -> Iterator[Text]:
    """The newest first."""
    for note in reversed(list(notes)):
        name = kind_name(note.group, note.resource)
        times = f" ({note.times} times)" if note.times > 1 else ""
        place = _plain(f"{name} {note.apiserver}".strip())
        yield Text.assemble(
            (f"{clock(note.at)} {place} ", "dim"), _plain(note.text), (times, "dim"), no_wrap=True, overflow="ellipsis"
        )


def _plain(text: str) -> str:
    """What others say, without anything that a terminal obeys."""
    return "".join([letter if letter.isprintable() else " " for letter in text])
