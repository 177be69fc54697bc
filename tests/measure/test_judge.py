"""Events are judged, counted and split into stages together as if each had been judged by itself."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.measure.arrivals import Arrivals
from exporter.measure.canaries import Canaries, Canary
from exporter.measure.counting import Counting
from exporter.measure.events import Event, Stamps
from exporter.measure.histogram import Histogram
from exporter.measure.judge import Clocks, Judge, JudgeListener, Rules
from exporter.measure.judging import Judgement
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import Offset
from exporter.measure.store import Store
from exporter.measure.stream_state import StreamCounts
from exporter.measure.times import Interval
from exporter.measure.window import Window
from exporter.measure.write_times import rfc3339
from exporter.vocabulary import EventType

RULES = Rules(threshold_seconds=1.0, clock_error_seconds=0.1, drift=1e-4, poll_period_seconds=0.2)
BEGAN = time.monotonic()
AHEAD_SECONDS = 1_800_000_000.0
"""The apiservers' clocks are so far ahead of ours."""

WALL_AHEAD_SECONDS = 1_700_000_000.0
NOTES = st.sampled_from([None, f"{BEGAN + WALL_AHEAD_SECONDS + 0.4:.6f}"])

POLL_PERIOD_SECONDS = 0.5
SECONDS = st.integers(-3, 3).map(lambda second: rfc3339(int(BEGAN + AHEAD_SECONDS) + second))
OLD_OR_NONE = st.one_of(st.just(""), st.just("2026-01-01T00:00:00Z"), SECONDS)
TYPES: st.SearchStrategy[EventType] = st.sampled_from([*["modified"] * 8, "added", "deleted"])


@dataclass(frozen=True)
class World:
    """What came, and what is known when it is judged. The revisions of polls rise by so many."""

    chunks: list[list[Event]]
    """Each came together."""
    polls: list[int]
    cache_polls: list[int]
    dates: list[int]
    arrived_elsewhere: list[int]
    replayed_until: int
    came: set[int]
    lost: set[int]
    offset: Offset | None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    stamped = st.builds(Stamps, OLD_OR_NONE, st.sampled_from(["", "", "", "2026-01-01T00:00:00Z"]))
    # Few kinds of stamps, so that runs are long.
    stamps_drawn = draw(st.lists(stamped, min_size=1, max_size=3))
    stamped_so = st.sampled_from(stamps_drawn)
    noted_so = st.sampled_from(draw(st.lists(NOTES, min_size=1, max_size=2)))
    kinds = draw(st.lists(st.tuples(TYPES, st.sampled_from("abc"), stamped_so, noted_so), min_size=2, max_size=25))
    events = [Event(kind, number, uid, stamps, note) for number, (kind, uid, stamps, note) in enumerate(kinds, start=1)]
    steps = st.lists(st.integers(0, 6), min_size=4, max_size=8)
    some = st.sets(st.integers(1, len(events)), max_size=2)
    came = draw(some)
    ends = sorted({*draw(st.lists(st.integers(1, len(events)), max_size=len(events))), len(events)})
    return World(
        [events[start:end] for start, end in pairwise([0, *ends])],
        draw(steps),
        draw(steps),
        draw(st.lists(st.integers(1, 30), max_size=3)),
        draw(st.lists(st.integers(1, 30), max_size=3)),
        draw(st.integers(0, 5)),
        came,
        draw(some) - came,
        draw(st.sampled_from([None, *[Offset(AHEAD_SECONDS - 0.1, AHEAD_SECONDS + 0.1, BEGAN, 10)] * 3])),
    )


def poll(clock: RevisionClock, rises: list[int]) -> None:
    revision = 0
    for number, rise in enumerate(rises):
        revision += rise
        sent = BEGAN + (number - 2) * POLL_PERIOD_SECONDS
        clock.poll_sent(number, sent)
        assert clock.poll_answered(number, sent + 0.1, revision) is None


def judged(world: World, *, apart: bool) -> tuple[object, list[Judgement], object]:
    """The counts, the judgements and the window."""
    counts, window, canaries = StreamCounts.none(1.0), Window(60.0, 0.99), Canaries(11.0)
    judgements: list[Judgement] = []
    judge = Judge(
        RULES,
        Counting(counts, window),
        arrivals=Arrivals(),
        canaries=canaries,
        listener=JudgeListener(judgements.append),
    )
    store, cache = Store(), RevisionClock()
    poll(store.polls, world.polls)
    poll(cache, world.cache_polls)
    for number, revision in enumerate(world.arrived_elsewhere):
        store.polls.arrived(revision, BEGAN + number / 10)
    for number, revision in enumerate(world.dates):
        store.dates.learn(0, revision, BEGAN + number / 10)
    judge._opening.newest_history = world.replayed_until
    for revision in world.came:
        canaries._came[revision] = Canary(revision, BEGAN - 0.3, BEGAN + 0.2)
    canaries._lost.update(dict.fromkeys(world.lost))
    clocks = Clocks(store, cache, world.offset)
    for number, chunk in enumerate(world.chunks):
        arrived = BEGAN + 0.3 + number / 50
        wall_ahead = WALL_AHEAD_SECONDS + number / 10  # somebody sets our clock again and again
        for events in [[event] for event in chunk] if apart else [chunk]:
            judge.enter(events, Interval(arrived - 0.2, arrived), wall_ahead)
            if apart:
                judge.judge_settled(BEGAN + 1, clocks)
    judge.judge_settled(BEGAN + 1, clocks)
    assert not judge.waiting
    return without_sums(counts), judgements, window.report(BEGAN + 1)


def without_sums(counts: StreamCounts) -> list[tuple[str, object]]:
    """Sums of floats differ in their last digits by the order in which they are added."""

    def plain(value: Any) -> object:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return value.counts if isinstance(value, Histogram) else value

    return [(name, plain(getattr(counts, name))) for name in counts.__struct_fields__]


@settings(max_examples=300)
@given(worlds())
def test_what_is_judged_at_once_is_judged_as_if_each_event_were_judged_alone(world: World) -> None:
    assert judged(world, apart=False) == judged(world, apart=True)
