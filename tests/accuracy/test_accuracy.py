"""`make accuracy` itself: its statistics on made-up events, its page, and one short scenario on the real apiserver."""

from math import inf
from pathlib import Path

import pytest

from exporter.measure.times import ANY_TIME, Interval, latency_between
from tests.accuracy import pictures, report
from tests.accuracy.__main__ import DOCS
from tests.accuracy.figures import METHODS, TRUTH, Event, Figures, Truth, figures
from tests.accuracy.observation import Observation
from tests.accuracy.run import Pace, run
from tests.accuracy.scenarios import CLOCKS, SCENARIOS, TABLES
from tests.accuracy.witness import Witness
from tests.accuracy.worlds import RealWorld
from tests.real.cluster import Cluster

BEGAN = 100.0


def event(
    number: int,
    *,
    true_seconds: float,
    measured: tuple[float, float],
    true_width: float = 0.0,
    since_stamp: float | None = None,
    state: str = "met",
) -> Event:
    """The `number`th of ten a second: committed then, arrived `true_seconds` later, measured as between the two."""
    commit = BEGAN + number / 10
    arrival = Interval(commit + true_seconds, commit + true_seconds)
    lower, upper = measured
    said_commit = Interval(arrival.latest - upper, arrival.latest - lower)
    latency = latency_between(said_commit, arrival)
    verdict = "on_time" if latency.latest <= 1 else "late" if latency.earliest > 1 else "ambiguous"
    said = Observation(
        resource="pods",
        revision=number,
        judged_at=arrival.latest + 0.2,
        state=state,
        verdict=verdict,
        commit=said_commit,
        arrival=arrival,
        latency=latency,
        polled_commit=ANY_TIME,
        since_stamp_seconds=since_stamp,
    )
    return Event(Truth(Interval(commit - true_width, commit), arrival), said)


def of(method: str, *events: Event) -> Figures:
    return figures("real/healthy", method, events, began=BEGAN, is_judged=lambda _: True)


def test_an_interval_contains_the_truth_unless_that_is_certainly_outside() -> None:
    inside = event(1, true_seconds=0.5, measured=(0.4, 0.6))
    below = event(2, true_seconds=0.3, measured=(0.4, 0.6))
    above = event(3, true_seconds=0.7, measured=(0.4, 0.6))
    perhaps = event(4, true_seconds=0.3, measured=(0.4, 0.6), true_width=0.15)
    assert of("watchslo", inside, below, above, perhaps).contained == 2


def test_a_commit_in_the_wrong_place_is_refuted_although_the_latency_fits() -> None:
    right = event(1, true_seconds=0.5, measured=(0.4, 0.6))
    shifted = Truth(
        Interval(*(end + 10 for end in right.truth.commit)), Interval(*(end + 10 for end in right.truth.arrival))
    )
    assert of("watchslo", right._replace(truth=shifted)).contained == 0


def test_falsely_late_is_what_is_called_late_and_certainly_is_not() -> None:
    truly_late = event(1, true_seconds=1.2, measured=(1.1, 1.3))
    falsely_late = event(2, true_seconds=0.9, measured=(1.1, 1.3))
    undecidable = event(3, true_seconds=0.9, measured=(1.1, 1.3), true_width=0.2)
    found = of("watchslo", truly_late, falsely_late, undecidable)
    assert (found.late, found.false_late) == (3, 1)


def test_quantiles_are_of_both_ends_and_of_the_middle() -> None:
    events = [
        event(number, true_seconds=number / 100, measured=(number / 100, number / 100 + 0.2))
        for number in range(1, 101)
    ]
    found = of("watchslo", *events)
    assert found.p99_lower_seconds == pytest.approx(0.99)
    assert found.p99_middle_seconds == pytest.approx(1.09)
    assert found.p99_upper_seconds == pytest.approx(1.19)
    assert found.width_p50_seconds == pytest.approx(0.2)
    assert of(TRUTH, *events).p99_middle_seconds == pytest.approx(0.99)


def test_the_obvious_method_is_a_number_and_leaves_out_what_has_no_stamp() -> None:
    stamped = event(1, true_seconds=0.01, measured=(0, 0.1), since_stamp=1.5)
    unstamped = event(2, true_seconds=0.01, measured=(0, 0.1))
    found = of("managedFields", stamped, unstamped)
    assert (found.events, found.contained, found.false_late) == (1, 0, 1)
    assert found.p99_lower_seconds == found.p99_upper_seconds == 1.5


def test_the_revision_clock_alone_says_nothing_where_no_poll_was_answered() -> None:
    found = of("revision-clock", event(1, true_seconds=0.01, measured=(0, 0.1)))
    assert (found.contained, found.ambiguous, found.p99_upper_seconds) == (1, 1, inf)


def test_violated_is_when_the_exporter_says_so_and_for_others_when_their_rolling_minute_does() -> None:
    healthy = [event(-number, true_seconds=0.01, measured=(0, 0.1)) for number in range(1, 200)]
    late = [event(number, true_seconds=2.0, measured=(1.5, 2.5)) for number in range(10)]
    late.append(event(10, true_seconds=2.0, measured=(1.5, 2.5), state="violated"))
    # Two of some 200 events are within the error budget of 1 %; the third, committed 0.2 s after the begin, is not.
    assert of(TRUTH, *healthy, *late).violated_after_seconds == pytest.approx(0.2 + 2.0)
    assert of("watchslo", *healthy, *late).violated_after_seconds == pytest.approx(1.0 + 2.0 + 0.2)
    assert of("watchslo", *healthy).violated_after_seconds is None


EVENTS = (
    b'{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"7"},"status":{}}}\n',
    b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}}\n',
    b'{"type":"DELETED","object":{"metadata":{"name":"b","resourceVersion":"9"}}}\n',
)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 500])
def test_the_witness_finds_each_event_however_its_bytes_are_cut(chunk_bytes: int) -> None:
    body = b"".join(EVENTS)
    chunks = [body[begin : begin + chunk_bytes] for begin in range(0, len(body), chunk_bytes)]
    stream = b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    for cut in range(len(stream)):
        witness = Witness()
        witness.handed_over(1, stream[:cut], 1.0, 1.5)
        witness.handed_over(1, stream[cut:], 2.0, 2.5)
        assert set(witness.arrivals) == {7, 9}, cut


def test_an_event_has_arrived_when_its_last_byte_has() -> None:
    witness = Witness()
    witness.handed_over(1, EVENTS[0][:-1], 1.0, 1.5)
    witness.handed_over(1, EVENTS[0][-1:] + EVENTS[2], 2.0, 2.5)
    witness.handed_over(1, EVENTS[2], 3.0, 3.5)
    assert witness.arrivals == {7: Interval(2.0, 2.5), 9: Interval(2.0, 2.5)}


def test_the_witness_takes_no_answer_to_a_poll_for_an_event() -> None:
    witness = Witness()
    witness.handed_over(1, b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]}\n', 1.0, 1.5)
    witness.handed_over(2, EVENTS[2], 1.0, 1.5)
    assert set(witness.arrivals) == {9}


def made_up_results() -> report.Results:
    seconds = {"width_p50_seconds": 0.1, "width_p99_seconds": inf, "p99_lower_seconds": 0.4, "p99_middle_seconds": 0.5}
    counts = {"events": 1000, "contained": 999, "late": 10, "ambiguous": 5, "false_late": 3}
    rows = [
        Figures(scenario.id, method, **counts, **seconds, p99_upper_seconds=0.6, violated_after_seconds=None)  # type: ignore[arg-type]
        for scenario in SCENARIOS[1:]
        for method in METHODS
    ]
    return report.Results(8.0, 8.0, 60.0, tuple(rows), {SCENARIOS[0].id: "no such thing here"})


def test_the_page_says_what_was_left_out_and_rounds_no_failure_away() -> None:
    page = report.page(made_up_results())
    assert f"| {SCENARIOS[0].id} | left out: no such thing here |" in page
    assert "| 1000 | 99.9 % | 0.100 s | inf s | 1 % | 0.5 % | 3 | - | 0.500 s | -0.100 | +0.000 | +0.100 |" in page
    assert report.share(99_999, 100_000) == "99.9 %"


def test_results_survive_their_file() -> None:
    results = made_up_results()
    assert report.Results.parse(results.text()) == results


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    drawn = []
    for name in ("one.svg", "two.svg"):
        pictures.draw(CLOCKS, report.scenarios_of(CLOCKS), made_up_results(), tmp_path / name)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert all(scenario.id in drawn[0] for scenario in report.scenarios_of(CLOCKS))


def test_the_published_page_follows_from_its_figures_and_has_every_scenario() -> None:
    results = report.Results.parse((DOCS / "accuracy" / "results.json").read_text(encoding="utf-8"))
    page = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    assert page == report.page(results, report.read_dispatch(DOCS))
    assert "`make accuracy`" in page
    assert {row.scenario for row in results.rows} | results.left_out.keys() == {scenario.id for scenario in SCENARIOS}
    for table in TABLES:
        assert (DOCS / "accuracy" / f"{table.name}.svg").exists()


@pytest.mark.timeout(120)
async def test_a_delayed_watch_is_certainly_late_and_every_interval_contains_the_truth(cluster: Cluster) -> None:
    scenario = next(one for one in SCENARIOS if one.id == "real/watch-2.5s")
    played = await run(scenario, RealWorld(cluster), Pace(learning_seconds=2.0, trouble_seconds=2.0), faketime=None)
    found = {row.method: row for row in played.figures(list(METHODS))}
    page = report.page(report.Results(2.0, 2.0, 60.0, tuple(found.values()), {}))
    assert played.refuted() == []
    assert found["watchslo"].false_late == 0
    assert found["watchslo"].contained == found["watchslo"].events > 0
    assert found[TRUTH].late > 0
    assert found["watchslo"].late > 0
    assert "| **real/watch-2.5s** | the truth |" in page
