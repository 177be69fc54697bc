"""Whatever happens to pods, and whatever is known of it: each stage's interval contains the truth, each pod counts
once.
"""

from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any, Literal, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.arrivals import Arrivals
from exporter.measure.events import Event
from exporter.measure.judge import DatedBatch
from exporter.measure.judging import Opening
from exporter.measure.pod_starts import MOST_CONTAINERS, PULLS_AWAITED_SECONDS, UNHEARD_SECONDS, PodStarts
from exporter.measure.pods import PodShown, Pull
from exporter.measure.startup_counts import SLOT_SECONDS, WINDOW_SECONDS, StartupCounts, StartupWindow
from exporter.measure.times import Interval
from exporter.vocabulary import REPORTED_STAGES, STARTUP_STAGES, EventType, ReportedStage, StartupStage

LATENCY = Interval(0.1, 0.3)


class Watched:
    """A stream of pods, as the judge passes it on."""

    def __init__(self, most_pods: int = 100) -> None:
        self.counts = StartupCounts.none()
        self.arrivals = Arrivals()
        self.starts = PodStarts(self.counts, self.arrivals, most_pods=most_pods)
        self.opening = Opening(at=0.0)
        self.observed: list[tuple[StartupStage, Interval]] = []
        add = self.starts._window.add

        def note(stage: StartupStage, seconds: Interval, at: float) -> None:
            self.observed.append((stage, seconds))
            add(stage, seconds, at)

        self.starts._window.add = note  # type: ignore[method-assign]

    def come(
        self,
        kind: EventType,
        at: float,
        *stages: ReportedStage,
        uid: str = "a",
        width: float = 0.0,
        **traits: Any,
    ) -> None:
        content = msgspec.structs.replace(PodShown(stages, containers=1), **traits)
        event = Event(kind, 1, uid, content=content)
        self.starts.enter(DatedBatch([event], Interval(at - width, at + width), LATENCY, at + width, self.opening))

    def of(self, stage: StartupStage) -> list[Interval]:
        return [seconds for name, seconds in self.observed if name == stage]

    @property
    def results(self) -> dict[str, int]:
        return {result: pods for result, pods in self.counts.results.items() if pods}


def about(earliest: float, latest: float) -> Any:
    return pytest.approx((earliest, latest), abs=1e-9)


def test_each_stage_lasts_from_the_write_before_to_the_one_that_shows_it() -> None:
    watched = Watched()
    watched.come("added", 10)
    watched.come("modified", 11, "scheduled", width=0.1)
    watched.come("modified", 13, "scheduled", "initialized")
    watched.come("modified", 14, "scheduled", "initialized", "sandbox")
    watched.come("modified", 16, "scheduled", "initialized", "sandbox", "started")
    watched.come("modified", 20, *REPORTED_STAGES)
    assert watched.observed == [
        ("scheduled", about(0.9, 1.1)),
        ("sandbox", about(2.9, 3.1)),
        ("initialized", Interval(0, 0)),  # it is over when all before it are
        ("started", Interval(2, 2)),
        ("total", Interval(6, 6)),
        ("watches", about(0.2, 0.6)),
        ("sli", about(0.9, 6)),  # nobody knows what the pulls took, at most the time on the node
        ("ready", Interval(4, 4)),
    ]
    assert watched.results == {"sli_pull_unknown": 1}
    assert not watched.starts._pods


def test_a_stage_that_no_write_reports_counts_with_the_next_one() -> None:
    watched = Watched()
    watched.come("added", 0)
    watched.come("modified", 1, "scheduled")
    watched.come("modified", 4, "scheduled", "started", "ready")
    assert [stage for stage, _ in watched.observed] == ["scheduled", "started", "total", "watches", "sli", "ready"]
    assert watched.of("started") == [Interval(3, 3)]
    assert watched.of("ready") == [Interval(0, 0)]


def test_pulls_are_left_out_of_the_sli_as_far_as_they_are_known() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0, containers=2)
    watched.come("modified", 1, "scheduled", containers=2)
    watched.starts.pulled(Pull("a", 2.0, "one"))
    watched.come("modified", 10, "scheduled", "started", containers=2)
    assert not watched.of("sli"), "the other container's pull is awaited"
    watched.starts.pulled(Pull("a", 3.0, "two"))
    watched.starts.state(11)
    assert watched.of("sli") == [Interval(5, 7)], "one after the other, or at once"
    assert watched.results == {"sli": 1}


def test_a_container_that_is_restarted_does_not_stand_for_another_one() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0, containers=2)
    watched.come("modified", 1, "scheduled", containers=2)
    watched.starts.pulled(Pull("a", 2.0, "one"))
    watched.starts.pulled(Pull("a", 0.0, "one"))
    watched.come("modified", 10, "scheduled", "started", containers=2)
    assert not watched.of("sli"), "the other container's pull is awaited"
    watched.starts.state(10 + PULLS_AWAITED_SECONDS)
    assert watched.of("sli") == [Interval(1, 10)]
    assert watched.results == {"sli_pull_unknown": 1}


def test_what_is_kept_of_the_pulls_for_a_pod_is_bounded() -> None:
    watched = Watched()
    for number in range(2 * MOST_CONTAINERS):
        watched.starts.pulled(Pull("a", 1.0, str(number)))
    assert len(watched.starts._pulls["a"].containers) == MOST_CONTAINERS


def test_pulls_are_not_awaited_for_long() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0)
    watched.come("modified", 1, "scheduled")
    watched.come("modified", 10, "scheduled", "started", "ready")
    watched.come("deleted", 11)
    watched.starts.state(10 + PULLS_AWAITED_SECONDS - 1)
    assert watched.results == {}
    watched.starts.state(10 + PULLS_AWAITED_SECONDS)
    assert watched.results == {"sli_pull_unknown": 1}
    assert watched.of("sli") == [Interval(1, 10)]
    assert not watched.starts._pods


def test_what_a_pod_shows_after_its_start_is_no_part_of_it() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0)
    watched.come("modified", 1, "scheduled")
    watched.come("modified", 10, "scheduled", "started")
    watched.come("modified", 15, "scheduled", "sandbox", "initialized", "started", init_seconds=Interval(3, 5))
    watched.starts.pulled(Pull("a", 2.0))
    watched.starts.state(18)
    watched.come("modified", 17, *REPORTED_STAGES)
    assert watched.of("total") == [Interval(10, 10)]
    assert watched.of("sli") == [Interval(8, 8)]
    assert watched.of("ready") == [Interval(7, 7)]


def test_pulls_are_given_up_where_no_event_will_come() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0)
    watched.come("modified", 10, "scheduled", "started")
    awaited = [watched.starts.awaits_pulls]
    watched.starts.sees_pulls = False
    watched.starts.state(10)
    assert [*awaited, watched.starts.awaits_pulls] == [True, False]
    assert watched.results == {"sli_pull_unknown": 1}


def test_init_containers_are_left_out_of_the_sli() -> None:
    watched = Watched()
    watched.starts.sees_pulls = True
    watched.come("added", 0, containers=2)
    watched.come("modified", 1, "scheduled", containers=2)
    for container in ("init", "main"):
        watched.starts.pulled(Pull("a", 0.0, container))
    ran = Interval(3, 5)
    watched.come("modified", 10, "scheduled", "initialized", "started", containers=2, init_seconds=ran)
    assert watched.of("sli") == [Interval(5, 7)]


@pytest.mark.parametrize(
    ("traits", "result"),
    [({"is_stateful": True}, "stateful"), ({"waits_for_room": True}, "unschedulable")],
)
def test_pods_that_the_sli_does_not_speak_of_have_stages_only(traits: dict[str, Any], result: str) -> None:
    watched = Watched()
    watched.come("added", 0, **traits)
    watched.come("modified", 4, "scheduled", "started", "ready")
    assert watched.results == {result: 1}
    assert watched.of("total") == [Interval(4, 4)]
    assert not watched.of("sli")


@pytest.mark.parametrize(
    ("kind", "traits", "result"),
    [
        ("deleted", {}, "deleted"),
        ("modified", {"is_deleting": True}, "deleted"),
        ("modified", {"end": "failed"}, "failed"),
    ],
)
def test_pods_that_end_before_they_start(kind: EventType, traits: dict[str, Any], result: str) -> None:
    watched = Watched()
    watched.come("added", 0)
    watched.come(kind, 4, "scheduled", **traits)
    watched.come("deleted", 5)
    assert watched.results == {result: 1}
    assert not watched.observed


def test_a_job_is_over_when_it_has_run_and_a_restart_is_no_start() -> None:
    watched = Watched()
    watched.come("added", 0)
    watched.come("modified", 4, "scheduled", "started", end="succeeded")
    watched.come("modified", 9, "scheduled", "started")
    watched.come("modified", 9, *REPORTED_STAGES)
    assert watched.results == {"sli_pull_unknown": 1}
    assert watched.of("total") == [Interval(4, 4)]
    assert not watched.of("ready")


def test_a_static_pod_is_made_by_its_kubelet() -> None:
    watched = Watched()
    watched.come("added", 0, "scheduled", is_static=True)
    watched.come("modified", 4, *REPORTED_STAGES, is_static=True)
    assert watched.results == {"static": 1}
    assert not watched.observed


def test_of_a_pod_that_was_there_before_the_watch_nothing_is_measured() -> None:
    watched = Watched()
    watched.come("modified", 0, "scheduled", uid="starting")
    watched.come("modified", 4, *REPORTED_STAGES, uid="starting")
    watched.come("modified", 4, *REPORTED_STAGES, uid="running")
    watched.come("deleted", 5, uid="unknown")
    assert watched.results == {"created_unseen": 1}
    assert not watched.observed


def test_after_a_relist_a_stage_may_have_been_reached_since_the_version_before() -> None:
    watched = Watched()
    watched.come("added", 0)
    watched.come("modified", 2, "scheduled")
    watched.opening = Opening(at=7.0)
    watched.come("modified", 9, "scheduled", "started")
    assert watched.of("started") == [Interval(0, 7)]
    assert watched.of("total") == [Interval(2, 9)]


def test_a_pod_that_may_have_been_deleted_before_a_relist_is_not_awaited_for_ever() -> None:
    watched = Watched()
    watched.come("added", 0, uid="gone")
    watched.come("added", 0, uid="there")
    watched.opening = Opening(at=7.0)
    watched.come("modified", 9, "scheduled", uid="there")
    assert watched.starts.state(10).starting == 2
    assert watched.starts.state(9 + UNHEARD_SECONDS).starting == 1
    watched.come("modified", 700, "scheduled", "started", uid="there")
    assert watched.results == {"sli_pull_unknown": 1}
    assert watched.starts.state(10_000).starting == 0


def test_time_that_our_clock_has_missed_may_be_part_of_a_start() -> None:
    watched = Watched()
    watched.come("added", 0)
    watched.arrivals.slept(1, 2, 60)
    watched.come("modified", 4, "started")
    assert watched.of("total") == [Interval(4, 64)]


def test_more_pods_than_are_followed_push_out_the_oldest() -> None:
    watched = Watched(most_pods=2)
    for number in range(4):
        watched.come("added", number, uid=str(number))
        watched.starts.pulled(Pull(f"gone-{number}", 1.0))
    assert watched.results == {"overflow": 2}
    assert list(watched.starts._pods) == ["2", "3"]
    assert len(watched.starts._pulls) == 2


def test_a_pod_that_was_pushed_out_pushes_out_no_other() -> None:
    watched = Watched(most_pods=2)
    for uid in "abc":
        watched.come("added", 0, uid=uid)
    for at in range(1, 4):
        for uid in "abc":
            watched.come("modified", at, "scheduled", uid=uid)
    for uid in "abc":
        watched.come("modified", 9, *REPORTED_STAGES, uid=uid)
    assert watched.results == {"overflow": 1, "sli_pull_unknown": 2}


@given(st.lists(st.tuples(st.sampled_from(STARTUP_STAGES), st.floats(0, 1e4), st.floats(0, 900)), max_size=30))
def test_the_quantiles_are_those_of_the_last_five_minutes(durations: list[tuple[StartupStage, float, float]]) -> None:
    window = StartupWindow()
    durations = sorted(durations, key=lambda duration: duration[2])
    for count, (stage, seconds, at) in enumerate(durations, start=1):
        window.add(stage, Interval(seconds / 2, seconds), at)
        fresh = StartupWindow()
        for one, its_seconds, then in durations[:count]:
            if (then // SLOT_SECONDS + 1) * SLOT_SECONDS > at - WINDOW_SECONDS:
                fresh.add(one, Interval(its_seconds / 2, its_seconds), then)
        assert window.quantiles(at) == fresh.quantiles(at)
    assert window.quantiles(900 + WINDOW_SECONDS + SLOT_SECONDS) == {}


def test_shares_are_told() -> None:
    counts = StartupCounts.none()
    assert (counts.watch_share, counts.unknown_share) == (None, None)
    for stage, lower, upper in (("total", 10.0, 20.0), ("watches", 1.0, 4.0)):
        counts.lower[stage].observe(lower)  # type: ignore[index]
        counts.upper[stage].observe(upper)  # type: ignore[index]
    assert counts.watch_share == Interval(0.05, 0.4)
    counts.upper["watches"].observe(inf)
    assert counts.watch_share == Interval(0.05, 1.0), "the events of one pod may have been on their way for any time"
    counts.results["sli"], counts.results["sli_pull_unknown"] = 3, 1
    assert counts.unknown_share == 0.25


@dataclass(frozen=True)
class Life:
    """The true times at which a pod reached its stages, and when each of its versions was written."""

    created: float
    reached: dict[ReportedStage, float]
    pulls: list[float]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    at = created = draw(st.floats(0, 100))
    reached: dict[ReportedStage, float] = {}
    for stage in get_args(ReportedStage):
        if stage in ("sandbox", "initialized") and draw(st.booleans()):
            continue
        at += draw(st.sampled_from([0.0, 0.001, 1.0, 7.5]))
        reached[stage] = at
    room = reached["started"] - reached["scheduled"]
    pulls = draw(st.lists(st.floats(0, 1), min_size=1, max_size=3))
    return Life(created, reached, [share * room / len(pulls) for share in pulls])


@given(
    st.lists(lives(), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
    st.floats(0, 2),
    st.sets(st.integers(0, 20), max_size=2),
    st.booleans(),
)
def test_the_intervals_contain_the_truth_and_every_pod_counts_once(
    pods: list[Life], random: Random, width: float, relists: set[int], sees_pulls: Literal[True, False]
) -> None:
    watched = Watched()
    watched.starts.sees_pulls = sees_pulls
    writes = [
        (at, number, tuple(one for one in life.reached if life.reached[one] <= at))
        for number, life in enumerate(pods)
        for at in sorted({life.created, *life.reached.values()})
    ]
    expected: dict[int, list[tuple[str, float]]] = {}
    for number, life in enumerate(pods):
        for container, seconds in enumerate(life.pulls if sees_pulls else ()):
            watched.starts.pulled(Pull(str(number), seconds, str(container)))
        expected[number] = [("total", life.reached["started"] - life.created)]
        before = life.created
        for reported, at in life.reached.items():
            expected[number].append((reported, at - before))
            before = at
        expected[number].append(("sli", life.reached["started"] - life.created - sum(life.pulls)))
    seen: dict[int, list[tuple[str, Interval]]] = {number: [] for number in range(len(pods))}
    for index, (at, number, stages) in enumerate(sorted(writes, key=lambda write: write[:2])):
        if index in relists:
            watched.opening = Opening(at=at)
        before_seconds, after_seconds = random.uniform(0, width), random.uniform(0, width)
        kind: EventType = "added" if at == pods[number].created else "modified"
        shown = PodShown(stages, containers=len(pods[number].pulls))
        commit = Interval(at - before_seconds, at + after_seconds)
        known = len(watched.observed)
        event = Event(kind, 1, str(number), content=shown)
        watched.starts.enter(DatedBatch([event], commit, LATENCY, commit.latest, watched.opening))
        seen[number] += watched.observed[known:]
    watched.starts.state(inf)
    for number, truths in expected.items():
        found = dict(seen[number])
        for stage, seconds in truths:
            earliest, latest = found[stage]
            assert earliest - 1e-6 <= seconds <= latest + 1e-6, (number, stage)
    assert sum(watched.counts.results.values()) == len(pods)
    assert watched.counts.results["sli" if sees_pulls else "sli_pull_unknown"] == len(pods)
    assert not watched.starts._pods
