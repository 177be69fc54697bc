"""Events that came together are judged, counted and split into stages as if each had come alone."""

import time
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.expose.metrics import Metrics
from exporter.judge import Judge
from exporter.kubernetes.clocks import CacheClockwork
from exporter.kubernetes.resources import EVENTS
from exporter.labels import EventType
from exporter.measure.arrivals import Arrivals
from exporter.measure.canaries import Canaries, Canary
from exporter.measure.events import Event, Stamps
from exporter.measure.judging import Judgement
from exporter.measure.revisions import RevisionClock
from exporter.measure.serverclock import Offset
from exporter.measure.stamps import rfc3339
from exporter.measure.times import Interval
from exporter.measure.window import Window
from tests.live.observing import config
from tests.test_target import clockwork

BEGAN = time.monotonic()
AHEAD_SECONDS = 1_800_000_000.0
"""The apiservers' clocks are so far ahead of ours."""

POLL_PERIOD_SECONDS = 0.5
SECONDS = st.integers(-3, 3).map(lambda second: rfc3339(int(BEGAN + AHEAD_SECONDS) + second))
OLD_OR_NONE = st.one_of(st.just(""), st.just("2026-01-01T00:00:00Z"), SECONDS)
TYPES: st.SearchStrategy[EventType] = st.sampled_from([*["modified"] * 8, "added", "deleted"])


@dataclass(frozen=True)
class World:
    """What came together, and what is known when it is judged. The revisions of polls rise by so many."""

    events: list[Event]
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
    kinds = draw(st.lists(st.tuples(TYPES, st.sampled_from("abc"), stamped_so), min_size=2, max_size=25))
    events = [Event(kind, number, uid, stamps) for number, (kind, uid, stamps) in enumerate(kinds, start=1)]
    steps = st.lists(st.integers(0, 6), min_size=4, max_size=8)
    some = st.sets(st.integers(1, len(events)), max_size=2)
    came = draw(some)
    return World(
        events,
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


def judged(world: World, *, together: bool) -> tuple[list[str], list[Judgement], object]:
    """The series, the judgements and the window."""
    metrics, window, canaries = Metrics(1.0, 0.99, 60.0), Window(60.0, 0.99), Canaries(11.0)
    judgements: list[Judgement] = []
    judge = Judge(
        config("--resource", "pods"),
        metrics.resource("a:1", "", "pods"),
        window,
        arrivals=Arrivals(),
        canaries=canaries,
        apiserver_clocks=lambda: world.offset,
        judged=judgements.append,
    )
    judge.clock = clockwork()
    judge.cache_clock = CacheClockwork(judge.clock.polls, EVENTS, None, hz=5)
    poll(judge.clock.clock, world.polls)
    poll(judge.cache_clock.clock, world.cache_polls)
    for number, revision in enumerate(world.arrived_elsewhere):
        judge.clock.clock.arrived(revision, BEGAN + number / 10)
    for number, revision in enumerate(world.dates):
        judge.clock.store.dates.learn(0, revision, BEGAN + number / 10)
    judge._opening.newest_history = world.replayed_until
    for revision in world.came:
        canaries._came[revision] = Canary(revision, BEGAN - 0.3, BEGAN + 0.2)
    canaries._lost.update(dict.fromkeys(world.lost))
    arrival = Interval(BEGAN + 0.1, BEGAN + 0.3)
    for events in [world.events] if together else [[event] for event in world.events]:
        judge.enter(events, arrival)
    judge.judge_settled()
    series = [child.text() for _, children in metrics.families() for child in children]
    # Sums of floats differ in their last digits by the order in which they are added.
    counts = [line for text in series for line in text.splitlines() if "_sum{" not in line]
    return counts, judgements, window.report(BEGAN + 1)


@settings(max_examples=300)
@given(worlds())
def test_what_comes_together_is_judged_as_if_each_event_had_come_alone(world: World) -> None:
    assert judged(world, together=True) == judged(world, together=False)
