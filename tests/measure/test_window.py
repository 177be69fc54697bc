"""The rolling window against a list of all events that were ever told to it."""

from dataclasses import dataclass, field
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.judging import Verdict
from exporter.measure.times import ANY_TIME, Interval
from exporter.measure.window import (
    FINEST_SECONDS,
    GROWTH,
    QUIET_BELOW_EVENTS,
    SLOT_SECONDS,
    State,
    Window,
    WindowReport,
)
from tests.measure.drawing import seconds

WINDOW_SECONDS = 4.0
STEP = GROWTH * (1 + 1e-9)
"""What a bound may lie outwards of the truth, as a factor."""

UNDECIDED = Interval(0.0, inf)


@dataclass
class Told:
    """An event that arrived (undecided until it is judged), or a gap; it is struck out if it was a replayed one."""

    slot_began: float
    is_gap: bool = False
    is_struck_out: bool = False
    latency: Interval = UNDECIDED
    verdict: Verdict | None = None


@dataclass
class EverythingEverTold:
    """A slot opens with what no slot holds, and its second leaves the window as a whole."""

    told: list[Told] = field(default_factory=list)

    def take(self, instant: float, *, is_gap: bool = False) -> None:
        began = self.told[-1].slot_began if self.told else -inf
        self.told.append(Told(began if instant < began + SLOT_SECONDS else instant, is_gap=is_gap))

    def inside(self, now: float) -> list[Told]:
        slots = [told for told in self.told if told.slot_began + SLOT_SECONDS > now - WINDOW_SECONDS]
        return [told for told in slots if not told.is_struck_out]


def nearest_rank(durations: list[float], ratio: float) -> float:
    return sorted(durations)[ceil(ratio * len(durations) - 1e-9) - 1]


def state_of(events: list[Told], objective_ratio: float) -> State:
    late = sum(event.verdict == "late" for event in events)
    not_on_time = sum(event.verdict != "on_time" for event in events if not event.is_gap)
    count = sum(not event.is_gap for event in events)
    budget = (1 - objective_ratio) * count + 1e-9
    if late > budget:
        return "violated"
    if count < QUIET_BELOW_EVENTS:
        return "quiet"
    return "unknown" if not_on_time > budget or any(event.is_gap for event in events) else "met"


def check(report: WindowReport, inside: list[Told], objective_ratio: float) -> None:
    events = [told for told in inside if not told.is_gap]
    assert report.events == len(events)
    assert report.late == sum(event.verdict == "late" for event in events)
    assert report.undecided == sum(event.verdict in {None, "ambiguous"} for event in events)
    assert report.state == state_of(inside, objective_ratio)
    if not events:
        assert report.p99_lower_seconds is report.p99_seconds is report.p99_upper_seconds is None
        return
    assert report.p99_lower_seconds is not None
    assert report.p99_seconds is not None
    assert report.p99_upper_seconds is not None
    lower = nearest_rank([event.latency.earliest for event in events], 0.99)
    middle = nearest_rank([(event.latency.earliest + event.latency.latest) / 2 for event in events], 0.99)
    upper = nearest_rank([event.latency.latest for event in events], 0.99)
    assert lower / STEP - FINEST_SECONDS <= report.p99_lower_seconds <= lower * (1 + 1e-9)
    assert middle <= report.p99_seconds * (1 + 1e-9) <= middle * STEP + 2 * FINEST_SECONDS
    assert upper <= report.p99_upper_seconds * (1 + 1e-9) <= upper * STEP + 2 * FINEST_SECONDS


LATENCIES = st.one_of(
    st.just(Interval(0.0, 0.0)),
    st.just(Interval(0.0, inf)),
    st.tuples(st.floats(0, 60), st.floats(0, 60)).map(lambda ends: Interval(min(ends), max(ends))),
    st.sampled_from([FINEST_SECONDS * GROWTH**step for step in (0, 1, 2, 200, 500)]).map(
        lambda end: Interval(end, end)
    ),
)
ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), seconds(0.5), st.integers(1, 40)),
    st.tuples(
        st.just("judge"), LATENCIES, st.integers(1, 60), st.sampled_from(["late", "ambiguous", *["on_time"] * 9])
    ),
    st.tuples(st.just("retract"), st.integers(1, 3)),
    st.tuples(st.just("gap"), seconds(0.5)),
    st.tuples(st.just("report"), seconds(8)),
)


@given(st.lists(ACTIONS, min_size=10, max_size=50), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_the_window_says_what_all_its_events_say(actions: list[tuple[object, ...]], objective_ratio: float) -> None:
    window, everything = Window(WINDOW_SECONDS, objective_ratio), EverythingEverTold()
    undecided: list[tuple[float, Told]] = []
    now = 100.0
    for action in actions:
        match action:
            case ("arrive", float() as passed, int() as events):
                now += passed
                window.arrived(now, events)
                for _ in range(events):
                    everything.take(now)
                    undecided.append((now, everything.told[-1]))
            case ("judge", Interval() as latency, int() as events, "on_time" | "late" | "ambiguous" as verdict):
                for arrived, told in undecided[:events]:
                    window.judged(arrived, latency, verdict)
                    told.latency, told.verdict = latency, verdict
                del undecided[:events]
            case ("retract", int() as events):
                for arrived, told in undecided[:events]:
                    window.retract(arrived)
                    told.is_struck_out = True
                del undecided[:events]
            case ("gap", float() as passed):
                now += passed
                window.lost_events(now)
                everything.take(now, is_gap=True)
            case ("report", float() as passed):
                now += passed
        check(window.report(now), everything.inside(now), objective_ratio)


@given(st.lists(st.sampled_from(["on_time", "late", "ambiguous"]), min_size=1, max_size=100))
def test_sums_add_up_once_all_is_judged(verdicts: list[Verdict]) -> None:
    window = Window(WINDOW_SECONDS, 0.99)
    window.arrived(10.0, len(verdicts))
    for verdict in verdicts:
        window.judged(10.0, Interval(0.5, 1.5), verdict)
    report = window.report(10.0)
    assert report.late == verdicts.count("late")
    assert report.undecided == verdicts.count("ambiguous")
    assert report.events - report.late - report.undecided == verdicts.count("on_time")
    left_behind = window.report(10.0 + WINDOW_SECONDS + SLOT_SECONDS)
    assert left_behind == WindowReport(0, 0, 0, "quiet", None, None, None)


def filled(
    *, on_time: int = 0, late: int = 0, ambiguous: int = 0, pending: int = 0, objective_ratio: float = 0.99
) -> Window:
    window = Window(60.0, objective_ratio)
    window.arrived(10.0, on_time + late + ambiguous + pending)
    for _ in range(on_time):
        window.judged(10.0, Interval(0.0, 0.1), "on_time")
    for _ in range(late):
        window.judged(10.0, Interval(2.0, 2.1), "late")
    for _ in range(ambiguous):
        window.judged(10.0, Interval(0.0, 2.0), "ambiguous")
    return window


@pytest.mark.parametrize(
    ("window", "state"),
    [
        (filled(on_time=99, late=1), "met"),
        (filled(on_time=98, late=2), "violated"),
        (filled(on_time=99, pending=1), "met"),
        (filled(on_time=98, pending=2), "unknown"),
        (filled(on_time=98, ambiguous=2), "unknown"),
        (filled(on_time=98, late=1, pending=1), "unknown"),
        (filled(on_time=49), "quiet"),
        (filled(on_time=50), "met"),
        (filled(on_time=48, late=1), "violated"),
        (filled(on_time=90, late=10, objective_ratio=0.9), "met"),
        (filled(on_time=89, late=11, objective_ratio=0.9), "violated"),
        (filled(on_time=999, late=1, objective_ratio=0.999), "met"),
        (filled(), "quiet"),
    ],
)
def test_the_state_says_only_what_is_certain(window: Window, state: State) -> None:
    assert window.report(11.0).state == state


def test_events_that_were_lost_forbid_met_until_they_leave_the_window() -> None:
    window = filled(on_time=100)
    window.lost_events(30.0)
    assert window.report(30.0).state == "unknown"
    window.arrived(80.0, 100)
    for _ in range(100):
        window.judged(80.0, Interval(0.0, 0.1), "on_time")
    assert window.report(90.0).state == "unknown"
    assert window.report(91.0).state == "met"


def test_of_a_hundred_events_the_ninety_ninth_is_the_p99() -> None:
    report = filled(on_time=99, late=1).report(11.0)
    assert report.p99_upper_seconds is not None
    assert 0.1 <= report.p99_upper_seconds <= 0.1 * STEP
    assert filled(on_time=98, late=2).report(11.0).p99_lower_seconds == pytest.approx(2.0, rel=0.02)


def test_an_event_that_is_not_judged_yet_may_be_anything() -> None:
    report = filled(on_time=97, pending=3).report(11.0)
    assert (report.p99_lower_seconds, report.p99_upper_seconds) == (0.0, inf)


def test_what_the_window_has_left_behind_changes_nothing() -> None:
    window = Window(60.0, 0.99)
    window.arrived(10.0, 3)
    window.judged(10.0, ANY_TIME, "ambiguous")
    window.arrived(90.0)
    window.judged(10.0, ANY_TIME, "late")
    window.retract(10.0)
    window.judged(90.0, Interval(0.0, 0.1), "on_time")
    report = window.report(90.0)
    assert (report.events, report.late, report.undecided) == (1, 0, 0)
    assert report.p99_upper_seconds == pytest.approx(0.1, rel=0.02)
