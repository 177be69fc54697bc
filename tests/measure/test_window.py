"""The rolling window against a list of all events that were ever told to it."""

from dataclasses import dataclass
from math import ceil, floor, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.coverage import Hole
from exporter.measure.times import ANY_TIME, Interval
from exporter.measure.undecided import Undecided
from exporter.measure.window import FINEST_SECONDS, GROWTH, QUIET_BELOW_EVENTS, SLOT_SECONDS, Window, WindowReport
from exporter.vocabulary import SloState, Verdict
from tests.measure.drawing import seconds

WINDOW_SECONDS = 4.0
GONE = Hole(1.0, 2.0, "gone")
STEP = GROWTH * (1 + 1e-9)
"""What a bound may lie outwards of the truth, as a factor."""


@dataclass(frozen=True)
class Told:
    """A judged event, or one that waits and of which so much is certain."""

    arrived: float
    latency: Interval
    verdict: Verdict


def inside(told: list[Told], now: float) -> list[Told]:
    """Those of the window that ends now: a whole second leaves it at once."""
    return [one for one in told if floor(one.arrived / SLOT_SECONDS) >= floor((now - WINDOW_SECONDS) / SLOT_SECONDS)]


def nearest_rank(durations: list[float], ratio: float) -> float:
    return sorted(durations)[ceil(ratio * len(durations) - 1e-9) - 1]


def state_of(events: list[Told], objective_ratio: float, *, is_covered: bool) -> SloState:
    late = sum(event.verdict == "late" for event in events)
    not_on_time = sum(event.verdict != "on_time" for event in events)
    budget = (1 - objective_ratio) * len(events) + 1e-9
    if late > budget:
        return "violated"
    if len(events) < QUIET_BELOW_EVENTS:
        return "quiet"
    return "met" if not_on_time <= budget and is_covered else "unknown"


def check(report: WindowReport, events: list[Told], objective_ratio: float, *, is_covered: bool) -> None:
    assert report.events == len(events)
    assert report.late == sum(event.verdict == "late" for event in events)
    assert report.undecided == sum(event.verdict == "ambiguous" for event in events)
    assert report.state == state_of(events, objective_ratio, is_covered=is_covered)
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
VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(["late", "ambiguous", *["on_time"] * 9])
EVENTS = st.tuples(LATENCIES, VERDICTS, st.integers(1, 40))
ACTIONS = st.one_of(
    # Verdicts come in any order of arrival: what was given up is counted before what came a moment ago.
    st.tuples(st.just("judge"), seconds(6), EVENTS),
    st.tuples(st.just("report"), seconds(8), st.lists(EVENTS, max_size=3)),
)


@given(st.lists(ACTIONS, min_size=10, max_size=50), st.sampled_from([0.5, 0.9, 0.99, 0.999]), st.booleans())
def test_the_window_says_what_all_its_events_say(
    actions: list[tuple[str, float, object]],
    objective_ratio: float,
    is_covered: bool,  # noqa: FBT001 hypothesis names its arguments
) -> None:
    window = Window(WINDOW_SECONDS, objective_ratio)
    told: list[Told] = []
    now = 100.0
    for action in actions:
        match action:
            case (
                "judge",
                float() as ago,
                (Interval() as latency, "on_time" | "late" | "ambiguous" as verdict, int(n)),
            ):
                window.judged(now - ago, latency, verdict, n)
                told += [Told(now - ago, latency, verdict)] * n
                check(window.report(now), inside(told, now), objective_ratio, is_covered=True)
            case ("report", float() as passed, list() as waiting):
                now += passed
                undecided = [Undecided(*one) for one in waiting]
                waits = [Told(now, latency, verdict) for latency, verdict, events in undecided for _ in range(events)]
                report = window.report(now, undecided, None if is_covered else GONE)
                check(report, [*inside(told, now), *waits], objective_ratio, is_covered=is_covered)


@given(st.lists(st.sampled_from(["on_time", "late", "ambiguous"]), min_size=1, max_size=100))
def test_sums_add_up_once_all_is_judged(verdicts: list[Verdict]) -> None:
    window = Window(WINDOW_SECONDS, 0.99)
    for verdict in verdicts:
        window.judged(10.0, Interval(0.5, 1.5), verdict)
    report = window.report(10.0)
    assert report.late == verdicts.count("late")
    assert report.undecided == verdicts.count("ambiguous")
    assert report.events - report.late - report.undecided == verdicts.count("on_time")
    left_behind = window.report(10.0 + WINDOW_SECONDS + SLOT_SECONDS)
    assert left_behind == WindowReport(0, 0, 0, "quiet", None, None, None)


def filled(*, on_time: int = 0, late: int = 0, ambiguous: int = 0, objective_ratio: float = 0.99) -> Window:
    window = Window(60.0, objective_ratio)
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
        (filled(on_time=98, ambiguous=2), "unknown"),
        (filled(on_time=98, late=1, ambiguous=1), "unknown"),
        (filled(on_time=49), "quiet"),
        (filled(on_time=50), "met"),
        (filled(on_time=48, late=1), "violated"),
        (filled(on_time=90, late=10, objective_ratio=0.9), "met"),
        (filled(on_time=89, late=11, objective_ratio=0.9), "violated"),
        (filled(on_time=999, late=1, objective_ratio=0.999), "met"),
        (filled(), "quiet"),
    ],
)
def test_the_state_says_only_what_is_certain(window: Window, state: SloState) -> None:
    assert window.report(11.0).state == state


def test_where_events_may_be_missing_it_is_not_met_but_still_violated_or_quiet() -> None:
    for window, state in (
        (filled(on_time=100), "unknown"),
        (filled(on_time=98, late=2), "violated"),
        (filled(on_time=49), "quiet"),
    ):
        uncovered = window.report(11.0, hole=GONE)
        assert (uncovered.state, uncovered.uncovered_reason) == (state, "gone")


@pytest.mark.parametrize(
    ("undecided", "state"),
    [
        (Undecided(Interval(0.0, 0.3), "on_time", 50), "met"),
        (Undecided(Interval(0.0, inf), "ambiguous", 1), "met"),
        (Undecided(Interval(0.0, inf), "ambiguous", 2), "unknown"),
        (Undecided(Interval(2.0, 2.3), "late", 2), "violated"),
    ],
)
def test_events_that_wait_count_by_what_is_certain_of_them(undecided: Undecided, state: SloState) -> None:
    window = filled(on_time=99)
    assert window.report(11.0, [undecided]).state == state
    assert window.report(11.0).state == "met", "nothing is kept of what was not judged"


def test_of_a_hundred_events_the_ninety_ninth_is_the_p99() -> None:
    report = filled(on_time=99, late=1).report(11.0)
    assert report.p99_upper_seconds is not None
    assert 0.1 <= report.p99_upper_seconds <= 0.1 * STEP
    assert filled(on_time=98, late=2).report(11.0).p99_lower_seconds == pytest.approx(2.0, rel=0.02)


def test_an_event_of_which_nothing_is_known_may_be_anything() -> None:
    report = filled(on_time=97).report(11.0, [Undecided(Interval(0.0, inf), "ambiguous", 3)])
    assert (report.p99_lower_seconds, report.p99_upper_seconds) == (0.0, inf)


def test_what_the_window_has_left_behind_changes_nothing() -> None:
    window = Window(60.0, 0.99)
    window.judged(10.0, ANY_TIME, "ambiguous")
    window.judged(90.0, Interval(0.0, 0.1), "on_time")
    window.judged(10.0, ANY_TIME, "late")
    report = window.report(90.0)
    assert (report.events, report.late, report.undecided) == (1, 0, 0)
    assert report.p99_upper_seconds == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("verdict", ["late", "ambiguous"])
def test_that_all_is_on_time_again_is_said_once_what_came_meanwhile_is_judged(verdict: Verdict) -> None:
    window = Window(60.0, 0.99)

    def goes_on(until: int, since: int = 0) -> None:
        for second in range(since, until):
            window.judged(float(second), Interval(0.0, 0.1), "on_time")

    goes_on(20)
    assert window.report(20.0).on_time_since is None, "it was never otherwise"
    window.judged(19.5, Interval(0.2, 2.0), verdict)
    goes_on(30, 20)
    assert window.report(29.9).on_time_since is None, "what came 10 s ago may not be judged yet"
    assert window.report(30.0).on_time_since == 20.0
    assert window.report(30.0, [Undecided(Interval(0.0, inf), "ambiguous", 3)]).on_time_since == 20.0
    assert window.report(30.0, [Undecided(Interval(2.0, inf), "late", 1)]).on_time_since is None
    assert window.report(40.0).on_time_since is None, "nothing comes any more"
    goes_on(80, 40)
    assert window.report(79.9).on_time_since == 20.0
    assert window.report(80.0).on_time_since is None, "it has left the window"
    window.judged(80.5, Interval(2.0, inf), "late")
    assert window.report(81.0).on_time_since is None, "it has begun again"


def test_it_begins_with_a_whole_second() -> None:
    assert Window(60.0, 0.99).since(100.7) == 40.0
    assert Window(inf, 0.99).since(100.7) == -inf
