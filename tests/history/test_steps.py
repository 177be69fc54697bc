from collections.abc import Sequence
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.history.recording import COARSE_STEPS, FINE_STEPS, StreamHistory
from exporter.history.steps import HistorySteps, Step
from exporter.history.totals import Totals
from exporter.measure.stream_state import StreamCounts, StreamState
from exporter.vocabulary import CONDITIONS, SLO_STATES, SloState
from tests.support.states import counts, state

SECONDS, MOST = 10, 6
T0 = 1_700_000_000


def record(steps: HistorySteps, now: float, one: StreamState) -> None:
    steps.record(now, one, Totals.of(one.counts))


moments = st.lists(
    st.tuples(st.floats(0.1, 45.0), st.sampled_from(SLO_STATES), st.integers(0, 50), st.integers(0, 5)),
    min_size=1,
    max_size=60,
)


@given(moments)
def test_steps_say_what_happened_in_them(history: list[tuple[float, SloState, int, int]]) -> None:
    steps, now, on_time, late = HistorySteps(SECONDS, MOST), float(T0), 0, 0
    conditions: dict[int, list[SloState]] = {}
    lates: dict[int, int] = {}
    for wait, slo, more_on_time, more_late in history:
        now, on_time, late = now + wait, on_time + more_on_time, late + more_late
        number = int(now // SECONDS)
        if conditions:  # what is there at the first look was counted before
            lates[number] = lates.get(number, 0) + more_late
        conditions.setdefault(number, []).append(slo)
        record(steps, now, state(slo=slo, counts=counts({"on_time": on_time, "late": late})))
    kept = [number for number in sorted(conditions) if number > max(conditions) - MOST]
    found = list(steps)
    assert [step.at for step in found] == [number * SECONDS for number in kept]
    assert [step.late for step in found] == [lates.get(number, 0) for number in kept]
    worst = [min(conditions[number], key=CONDITIONS.index) for number in kept]
    assert [step.condition for step in found] == worst


def only(steps: HistorySteps) -> Step:
    *_, last = steps
    return last


def test_a_step_has_rates_and_the_means_of_stages() -> None:
    steps, before = HistorySteps(SECONDS, MOST), StreamCounts.none(1.0)
    record(steps, T0, state(counts=before))
    after = before.copy()
    after.judged["on_time"] = 50
    after.interval_width.observe(0.2, 50)
    after.stage_lower["storage_to_cache"].observe(0.1, 50)
    after.stage_upper["storage_to_cache"].observe(0.3, 50)
    after.stage_lower["cache_to_client"].observe(0.0, 50)
    after.stage_upper["cache_to_client"].observe(inf, 50)
    record(steps, T0 + 5, state(counts=after, p99=(0.25, inf)))
    step = only(steps)
    assert step.events_per_second == 10.0
    assert step.width_seconds is not None
    assert round(step.width_seconds, 6) == 0.2
    assert {stage: tuple(round(end, 6) for end in ends) for stage, ends in step.stages.items()} == {
        "storage_to_cache": (0.1, 0.3),
        "cache_to_client": (0.0, inf),
    }
    assert step.p99 == (0.25, inf)


def stages_of(lowers: Sequence[float], uppers: Sequence[float]) -> Step:
    """The step in which these were the bounds of one stage."""
    steps, before = HistorySteps(SECONDS, MOST), StreamCounts.none(1.0)
    record(steps, T0, state(counts=before))
    after = before.copy()
    for lower, upper in zip(lowers, uppers, strict=True):
        after.stage_lower["storage_to_cache"].observe(lower)
        after.stage_upper["storage_to_cache"].observe(upper)
        after.interval_width.observe(upper - lower)
    record(steps, T0 + 5, state(counts=after))
    return only(steps)


def test_what_took_longer_than_any_bucket_is_in_the_mean() -> None:
    step = stages_of((0.125, 400.0), (0.375, 401.0))
    assert step.stages == {"storage_to_cache": (200.0625, 200.6875)}
    assert step.width_seconds == 0.625
    assert stages_of((400.0,), (401.0,)).stages == {"storage_to_cache": (400.0, 401.0)}


def test_a_mean_has_no_upper_bound_if_any_of_the_events_has_none() -> None:
    step = stages_of((0.125, 0.375), (0.5, inf))
    assert step.stages == {"storage_to_cache": (0.25, inf)}
    assert step.width_seconds == inf


def test_a_stream_without_a_watch_is_down_whatever_its_window_says() -> None:
    steps = HistorySteps(SECONDS, MOST)
    record(steps, T0, state(is_up=False))
    assert only(steps).condition == "down"


def test_a_clock_that_is_set_back_begins_anew_and_one_that_is_slewed_goes_on() -> None:
    steps = HistorySteps(SECONDS, MOST)
    for now in (T0, T0 + 10, T0 + 9):
        record(steps, now, state())
    assert [step.at for step in steps] == [T0, T0 + 10]
    record(steps, T0 - 3600, state())
    assert [step.at for step in steps] == [T0 - 3600]


def test_six_hours_are_kept_in_bounded_memory() -> None:
    history = StreamHistory()
    for second in range(0, 7 * 3600, 5):
        history.record(T0 + second, state())
    assert len(list(history.fine)) == FINE_STEPS
    assert len(list(history.coarse)) == COARSE_STEPS
    columns = [column for steps in (history.fine, history.coarse) for column in steps._columns]
    conditions = [steps._conditions for steps in (history.fine, history.coarse)]
    held = sum(one.itemsize * len(one) for one in columns) + sum(one.itemsize * len(one) for one in conditions)
    assert held == (FINE_STEPS + COARSE_STEPS) * (11 * 4 + 1)
