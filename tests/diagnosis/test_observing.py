"""Facts of the last seconds: an example for each, and laws that hold whatever comes."""

import sys
import tracemalloc
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.diagnosis.facts import Facts, PollFacts
from exporter.diagnosis.observing import CALM_SECONDS, MOST_UNDELIVERED
from exporter.diagnosis.server_facts import ServerFacts
from exporter.measure.apiserver_state import WayBack
from exporter.measure.canaries import Canary
from exporter.measure.stream_state import CacheAnswer, Delivered, SocketState, StreamCounts, Trouble
from exporter.measure.times import Interval
from exporter.measure.window import WindowReport
from exporter.vocabulary import SloState
from tests.diagnosis.observed import WALL_AHEAD, Stream, World


@pytest.fixture
def pods() -> Stream:
    return Stream()


@pytest.fixture
def world(pods: Stream) -> World:
    """Observed for half a minute in which nothing happened."""
    world = World(pods)
    for _ in range(15):
        world.observe()
    return world


def test_what_was_counted_before_the_first_look_is_not_of_the_last_seconds(pods: Stream) -> None:
    pods.judges(on_time=10, late=50)
    pods.counts.uncovered_seconds = 100.0
    first = World(pods).stream()
    assert (first.judged, first.is_late, first.late_since, first.time_span) == (
        {"on_time": 0, "late": 0, "ambiguous": 0},
        False,
        None,
        None,
    )


def test_counts_and_bounds_are_those_of_the_last_seconds(world: World, pods: Stream) -> None:
    pods.judges(on_time=99)
    pods.judges(late=1)
    pods.counts.ends["early_eof"] += 2
    pods.counts.start_errors["throttled"] += 1
    pods.counts.relists["start"] += 1
    pods.counts.relists["gone"] += 1
    pods.counts.stage_lower["write"].observe(0.02)
    pods.counts.stage_upper["write"].observe(0.2)
    pods.counts.canary_write.observe(0.003)
    world.servers["a:1"] = ServerFacts(seconds=10.0)
    facts = world.stream()
    assert facts.judged == {"on_time": 99, "late": 1, "ambiguous": 0}
    assert facts.time_span == Interval(0.01, 0.025)
    assert facts.write == Interval(0.01, 0.25)
    assert facts.canary_write == Interval(0.0, 0.005)
    assert facts.storage_to_cache is None, "it is on time"
    assert facts.ends == {"early_eof": 2}
    assert facts.start_errors == {"throttled": 1}
    assert facts.relists == 1, "a start loses nothing"
    for _ in range(9):
        facts = world.stream()
    assert facts.judged["on_time"] == 0, "20 s later they are of the past"
    assert facts.time_span is None


def test_the_p99_of_what_is_on_time_is_told_only_where_metrics_are_read(world: World, pods: Stream) -> None:
    pods.judges(on_time=99)
    assert world.stream().time_span is None
    world.servers["a:1"] = ServerFacts(seconds=10.0)
    assert world.stream().time_span == Interval(0.01, 0.025)
    world.servers.clear()
    pods.judges(late=99)
    facts = world.stream()
    assert facts.is_late
    assert facts.time_span is not None


@pytest.mark.parametrize(("slo", "told"), [("violated", 3.0), ("met", None)])
def test_the_p99_of_the_window_is_told_while_it_violates_the_objective(
    world: World, pods: Stream, slo: SloState, told: float | None
) -> None:
    pods.more["window"] = WindowReport(600, 9, 9, slo, 3.0, 3.0, 3.1)
    assert world.stream().window_p99_seconds == told


def test_series_that_were_dropped_and_are_back_have_no_past(world: World, pods: Stream) -> None:
    pods.judges(on_time=500, late=2)
    world.observe()
    pods.counts = StreamCounts.none(1.0)
    pods.judges(on_time=20)
    facts = world.stream()
    assert (facts.judged["on_time"], facts.events_per_second, facts.bytes_per_second) == (0, 0.0, 0.0)
    pods.judges(on_time=10)
    facts = world.stream()
    assert (facts.judged["on_time"], facts.events_per_second) == (10, 5.0)


def test_more_late_events_than_the_objective_allows_are_late_since_they_were_seen(world: World, pods: Stream) -> None:
    pods.judges(on_time=99, late=1)
    assert not world.stream().is_late
    pods.judges(late=1)
    facts = world.stream()
    since = world.now + WALL_AHEAD
    assert facts.is_late
    assert facts.late_since == since
    for _ in range(20):
        pods.judges(late=1)
        assert world.stream().late_since == since
    for _ in range(10):
        facts = world.stream()
    assert not facts.is_late
    assert facts.late_since is None


def test_a_lost_canary_is_late(world: World, pods: Stream) -> None:
    pods.judges(on_time=1000)
    pods.counts.canaries_lost += 1
    pods.counts.judged["late"] += 1
    facts = world.stream()
    assert facts.canaries_lost == 1
    assert facts.is_late


def test_time_without_a_watch_counts_since_it_began(world: World, pods: Stream) -> None:
    pods.counts.uncovered_seconds += 0.3
    assert world.stream().late_since is None, "a watch that is opened anew at once"
    pods.more |= {"is_up": False, "trouble": Trouble("forbidden", "no")}
    pods.counts.uncovered_seconds += 1.5
    facts = world.stream()
    assert facts.late_since == pytest.approx(world.now + WALL_AHEAD - 1.8)
    assert (facts.is_up, facts.trouble, facts.is_late) == (False, "forbidden", False)
    assert facts.uncovered_seconds == pytest.approx(1.8)


def test_what_has_not_started_is_in_no_trouble() -> None:
    assert World(Stream(more={})).stream().trouble is None


def test_rates_are_of_events_and_bytes_without_bookmarks(world: World, pods: Stream) -> None:
    for _ in range(10):
        pods.judges(on_time=20)
        pods.counts.events["bookmark", "live"] += 5
        facts = world.stream()
    assert facts.events_per_second == pytest.approx(10.0)
    assert facts.bytes_per_second == pytest.approx(3000.0)


def test_what_is_usual_is_known_after_a_calm_minute_and_learned_slowly(world: World, pods: Stream) -> None:
    facts = world.stream()
    for _ in range(40):
        pods.judges(on_time=20)
        facts = world.stream()
    assert facts.usual_events_per_second is not None
    assert 5 < facts.usual_events_per_second <= 10
    before = facts.usual_events_per_second
    for _ in range(10):
        pods.judges(on_time=2000)
        facts = world.stream()
    assert facts.usual_events_per_second is not None
    assert before < facts.usual_events_per_second < 100, "a burst is not usual at once"


def test_nothing_is_learned_while_something_is_wrong(pods: Stream) -> None:
    world = World(pods)
    for _ in range(60):
        pods.judges(on_time=5, late=5)
        assert world.stream().usual_events_per_second is None
    calm = int(CALM_SECONDS / 2)
    for _ in range(calm + 12):
        pods.judges(on_time=4)
        facts = world.stream()
    assert facts.usual_events_per_second == pytest.approx(2.0)
    for _ in range(60):
        pods.judges(late=1000)
        facts = world.stream()
    assert facts.usual_events_per_second == pytest.approx(2.0)


def test_a_stream_that_is_stuck_does_not_teach_that_nothing_comes(world: World, pods: Stream) -> None:
    for _ in range(45):
        pods.judges(on_time=20)
        usual = world.stream().usual_events_per_second
    pods.more |= {"delivered": Delivered(100, 100), "owed_canary": Canary(105, world.now, world.now)}
    for _ in range(60):
        assert world.stream().usual_events_per_second == usual


def test_a_write_that_waits_for_its_answer_is_told_before_it_has_one(world: World, pods: Stream) -> None:
    assert world.stream().canary_write is None
    pods.more["canary_unanswered_since"] = world.now
    facts = world.stream()
    while facts.canary_write is None:
        facts = world.stream()
    assert facts.canary_write.earliest > 1.0
    assert facts.canary_write.latest == inf
    pods.more["canary_unanswered_since"] = None
    assert world.stream().canary_write is None


def test_a_rate_is_steady_if_each_part_of_the_time_has_as_much(world: World, pods: Stream) -> None:
    for size_bytes in (200_000, 190_000, 200_000, 180_000) * 3:
        pods.counts.received_bytes += size_bytes
        facts = world.stream()
    assert facts.is_rate_steady
    pods.counts.received_bytes += 20_000
    assert not world.stream().is_rate_steady
    for _ in range(12):
        pods.counts.received_bytes += 90_000
        facts = world.stream()
    assert not facts.is_rate_steady, "nothing is full at less than 50 kB/s"


def test_a_rate_is_steady_at_five_seconds_between_looks_as_well(pods: Stream) -> None:
    world = World(pods)
    steady = []
    for _ in range(6):
        pods.counts.received_bytes += 500_000
        steady.append(world.stream(5.0).is_rate_steady)
    assert steady == [False, False, False, False, True, True]


def test_what_another_apiserver_of_the_same_store_delivered_is_missing_here() -> None:
    here, there = Stream(), Stream(apiserver="b:1")
    world = World(here, there)
    here.is_in_store_with("b:1", up_to=100, newest_event=100)
    there.is_in_store_with("a:1", up_to=130, newest_event=110)
    assert world.stream().undelivered_seconds == 0
    assert world.stream().undelivered_seconds == 2.0
    there.is_in_store_with("a:1", up_to=150, newest_event=140)
    assert world.stream().undelivered_seconds == 4.0
    here.is_in_store_with("b:1", up_to=120, newest_event=110)
    assert world.stream().undelivered_seconds == 2.0, "one is here, the next is known for two seconds"
    here.is_in_store_with("b:1", up_to=140, newest_event=110)
    facts = world.observe()
    assert [one.undelivered_seconds for one in facts.streams] == [0.0, 0.0]


def test_another_store_or_a_bookmark_shows_nothing() -> None:
    here, there = Stream(), Stream(apiserver="b:1")
    world = World(here, there)
    here.is_in_store_with(up_to=100, newest_event=100)
    there.is_in_store_with(up_to=130, newest_event=130)
    world.observe()
    assert world.stream().undelivered_seconds == 0, "it is not proven to be the same store"
    here.is_in_store_with("b:1", up_to=100, newest_event=100)
    there.is_in_store_with("a:1", up_to=130, newest_event=90)
    world.observe()
    assert world.stream().undelivered_seconds == 0, "its bookmark is of another resource's event"


def test_a_canary_that_was_answered_is_missing_since_then_even_when_it_is_lost(world: World, pods: Stream) -> None:
    pods.more |= {"delivered": Delivered(100, 100), "owed_canary": Canary(105, world.now - 1.0, world.now - 0.5)}
    assert world.stream().undelivered_seconds == pytest.approx(2.5)
    assert world.stream().undelivered == (105, world.now - 4.5)
    pods.more["owed_canary"] = None
    assert world.stream().undelivered_seconds == pytest.approx(6.5)
    pods.more["delivered"] = Delivered(105, 105)
    assert world.stream().undelivered is None
    assert world.stream().undelivered_seconds == 0


def test_whether_the_cache_has_what_is_missing(world: World, pods: Stream) -> None:
    answered = world.now
    pods.more |= {"delivered": Delivered(100, 100), "owed_canary": Canary(105, answered - 1.0, answered)}
    assert world.stream().is_undelivered_cached is None, "nobody asks the cache"
    pods.more["cache_answer"] = CacheAnswer(104, since=answered - 10.0, asked=answered - 0.5)
    assert world.stream().is_undelivered_cached is None, "it was asked before"
    pods.more["cache_answer"] = CacheAnswer(104, since=answered - 10.0, asked=answered + 0.5)
    facts = world.stream()
    assert facts.is_undelivered_cached is False
    assert facts.cache_still_seconds == 10.5
    pods.more["cache_answer"] = CacheAnswer(105, since=answered + 1.0, asked=answered + 0.9)
    facts = world.stream()
    assert facts.is_undelivered_cached is True
    assert facts.cache_still_seconds == 0


def test_of_a_store_that_was_restored_nothing_is_missing(world: World, pods: Stream) -> None:
    pods.more |= {"delivered": Delivered(100, 100), "owed_canary": Canary(105, 1.0, 2.0)}
    assert world.stream().undelivered_seconds > 0
    pods.more |= {"delivered": Delivered(0, 0), "owed_canary": None}
    assert world.stream().undelivered_seconds == 0
    pods.more |= {"delivered": Delivered(50, 50)}
    assert world.stream().undelivered_seconds == 0


def test_no_more_is_kept_of_what_is_missing_than_needed() -> None:
    here, there = Stream(), Stream(apiserver="b:1")
    world = World(here, there)
    here.is_in_store_with("b:1", up_to=100, newest_event=100)
    for revision in range(200, 400):
        there.is_in_store_with("a:1", up_to=revision, newest_event=revision)
        facts = world.stream()
    assert facts.undelivered_seconds == 199 * 2.0
    [observed, _] = world.observations._streams.values()
    assert len(observed._undelivered._since) == MOST_UNDELIVERED


def test_packets_out_of_order_are_those_since_the_facts_before(world: World, pods: Stream) -> None:
    def socket(opened: float, packets: int) -> SocketState:
        return SocketState(opened, 0.01, 0.02, 3.0, unread_bytes=7, out_of_order_packets=packets, received_bytes=9)

    pods.more["socket"] = socket(1.0, 5)
    world.observe()
    pods.more["socket"] = socket(1.0, 8)
    facts = world.stream()
    assert facts.socket is not None
    assert facts.socket == (0.01, 3.0, 7, 3, 0.02)
    pods.more["socket"] = socket(2.0, 4)
    facts = world.stream()
    assert facts.socket is not None
    assert facts.socket.out_of_order_packets == 4, "of another connection"
    pods.more["socket"] = None
    assert world.stream().socket is None


def test_polls_of_store_and_caches_apart(world: World) -> None:
    store, pods, nodes = (
        world.clock("revision"),
        world.clock("cache", resource="pods", reads="own_cache"),
        world.clock("cache", resource="nodes", reads="own_cache"),
    )
    store.seconds.observe(9.0, 100)
    world.observe()
    store.seconds.observe(0.02, 10)
    store.failed["server_timeout"] += 1
    pods.seconds.observe(0.002, 3)
    nodes.seconds.observe(0.004, 4)
    nodes.failed["throttled"] += 2
    facts = world.apiserver()
    assert facts.store_polls == PollFacts(answered=10, failed={"server_timeout": 1}, seconds=Interval(0.01, 0.025))
    assert facts.store_polls_read == "store"
    assert facts.cache_polls == PollFacts(answered=7, failed={"throttled": 2}, seconds=Interval(0.0025, 0.005))
    assert facts.throttled == 2


def test_whatever_was_answered_with_429_counts(world: World, pods: Stream) -> None:
    failed = world.clock("revision").failed
    world.observe()
    failed["throttled"] += 2
    pods.counts.start_errors["throttled"] += 3
    pods.counts.ends["throttled"] += 4
    assert world.apiserver().throttled == 9


def test_polls_of_another_kind_say_so_and_none_say_nothing(world: World) -> None:
    polls = world.clock("revision", resource="configmaps", reads="another_cache")
    assert world.apiserver().store_polls_read == "nothing"
    polls.seconds.observe(0.01)
    facts = world.apiserver()
    assert (facts.store_polls_read, facts.store_polls.answered) == ("another_cache", 1)


def test_polls_of_a_kind_that_has_no_watch_cache_say_nothing_of_caches(world: World) -> None:
    events, pods = world.clock("cache"), world.clock("cache", resource="pods", reads="own_cache")
    world.observe()
    events.seconds.observe(9.0, 5)
    pods.seconds.observe(0.002, 3)
    assert world.apiserver().cache_polls == PollFacts(answered=3, seconds=Interval(0.001, 0.0025))


def test_a_clock_that_is_new_or_began_anew_counts_as_a_whole(world: World) -> None:
    world.clock("revision").seconds.observe(0.01, 50)
    world.observe()
    world.clock("cache", resource="pods", reads="own_cache").seconds.observe(0.01, 2)
    world.polls["a:1"].pop(next(iter(world.polls["a:1"])))
    world.clock("revision").seconds.observe(0.01, 3)
    facts = world.apiserver()
    assert (facts.store_polls.answered, facts.cache_polls.answered) == (3, 2)


def test_what_polls_usually_take_is_not_learned_from_slow_ones(world: World) -> None:
    polls = world.clock("revision")
    for _ in range(40):
        polls.seconds.observe(0.004, 10)
        facts = world.apiserver()
    assert facts.store_polls.usual_seconds == pytest.approx(0.005)
    for _ in range(60):
        polls.seconds.observe(0.4, 10)
        facts = world.apiserver()
    assert facts.store_polls.seconds == Interval(0.25, 0.5)
    usual = facts.store_polls.usual_seconds
    assert usual is not None
    assert usual < 0.006, "at most what came before it was seen to be slow"


def test_the_way_back_is_the_longest_of_the_last_ones(world: World) -> None:
    world.clock("revision")
    assert world.apiserver().way_back is None
    world.ways_back = (
        WayBack(world.now - 100.0, Interval(5.0, 6.0)),
        WayBack(world.now - 1.0, Interval(0.2, 0.9)),
        WayBack(world.now - 0.5, Interval(0.0, 1.2)),
    )
    assert world.apiserver().way_back == Interval(0.2, 1.2)


def test_an_apiservers_own_facts_are_handed_on(world: World) -> None:
    world.clock("revision")
    world.servers["a:1"] = ServerFacts(seconds=60.0)
    world.converting["", "pods"] = True
    facts = world.observe()
    assert facts.apiservers[0].server is world.servers["a:1"]
    assert facts.streams[0].converts_by_webhook is True


def test_the_exporter_itself(world: World) -> None:
    world.process = {"stalled_seconds": 1.0, "suspended_seconds": 2.0, "throttled_seconds": 3.0}
    for _ in range(10):
        world.observe()
    world.loop_lag.observe(0.02, 100)
    world.process = {"stalled_seconds": 3.0, "suspended_seconds": 5.0, "throttled_seconds": 5.0}
    facts = world.observe().process
    assert facts.loop_lag == Interval(0.01, 0.025)
    assert 2 / 20 <= facts.stalled_share <= 2 / 15
    assert facts.suspended_seconds == 3.0
    assert facts.throttled_share == facts.stalled_share
    world.process["throttled_seconds"] = None
    assert world.observe().process.throttled_share is None


# Laws


def numbers(value: Any) -> list[float]:
    """All numbers in facts, however deep; times of the wall clock are numbers too."""
    if isinstance(value, msgspec.Struct):
        return numbers(msgspec.structs.astuple(value))
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, int | float) else []


ACTIONS = st.one_of(
    st.tuples(st.just("events"), st.integers(0, 200), st.integers(0, 5)),
    st.tuples(st.just("uncovered"), st.floats(0, 5), st.integers(0, 1)),
    st.tuples(st.just("restarts"), st.integers(0, 50), st.integers(0, 5)),
    st.tuples(st.just("goes"), st.just(0), st.just(0)),
    st.tuples(st.just("comes"), st.just(0), st.just(0)),
    st.tuples(st.just("polls"), st.integers(0, 30), st.integers(0, 3)),
    st.tuples(st.just("clocks anew"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("delivers"), st.integers(0, 100), st.integers(0, 100)),
    st.tuples(st.just("observes"), st.floats(0, 30), st.just(0)),
)


def act(world: World, stream: Stream, action: tuple[str, float, int]) -> Facts | None:
    what, number, other = action
    if what == "events":
        stream.judges(on_time=int(number), late=other, seconds=0.02 * (1 + other))
    elif what == "uncovered":
        stream.counts.uncovered_seconds += number
        stream.more["is_up"] = not other
    elif what == "restarts":
        stream.counts = StreamCounts.none(1.0)
        stream.judges(on_time=int(number), late=other)
    elif what == "goes" and stream in world.streams:
        world.streams.remove(stream)
    elif what == "comes" and stream not in world.streams:
        world.streams.append(stream)
    elif what == "polls":
        world.clock("cache", stream.apiserver, stream.resource, "own_cache").seconds.observe(0.01 * other, int(number))
    elif what == "clocks anew":
        world.polls.pop(stream.apiserver, None)
        world.clock("revision", stream.apiserver).seconds.observe(0.01, int(number))
    elif what == "delivers":
        stream.is_in_store_with("a:1", "b:1", up_to=int(number), newest_event=other)
    elif what == "observes":
        return world.observe(number)
    return None


@example([(0, ("events", 200, 5)), (0, ("observes", 2.0, 0)), (0, ("restarts", 20, 0)), (0, ("observes", 2.0, 0))])
@given(actions=st.lists(st.tuples(st.integers(0, 2), ACTIONS), max_size=60))
def test_no_number_is_ever_negative(actions: list[tuple[int, tuple[str, float, int]]]) -> None:
    streams = [Stream(), Stream(apiserver="b:1"), Stream(resource="nodes")]
    world = World(*streams)
    for number, action in actions:
        facts = act(world, streams[number], action)
        if facts is not None:
            assert min(numbers(facts), default=0) >= 0
            assert len(facts.streams) == len(world.streams)
            for one in facts.streams:
                for bounds in (one.time_span, one.write, one.storage_to_cache, one.cache_to_client, one.canary_write):
                    assert bounds is None or 0 <= bounds.earliest <= bounds.latest


@given(
    comings=st.lists(st.booleans(), min_size=20, max_size=60),
    rates=st.lists(st.integers(0, 50), min_size=60, max_size=60),
)
def test_what_is_known_of_a_stream_does_not_depend_on_others(comings: list[bool], rates: list[int]) -> None:
    alone, beside, other = Stream(), Stream(), Stream(resource="nodes")
    world, one = World(beside, other), World(alone)
    for comes, rate in zip(comings, rates, strict=False):
        for stream in (alone, beside):
            stream.judges(on_time=rate, late=rate > 45)
        other.judges(late=rate)
        world.streams = [other, beside] if comes else [beside]
        [facts] = [one for one in world.observe().streams if one.resource == "pods"]
        assert facts == one.stream()


@given(
    steps=st.lists(
        st.tuples(st.floats(2, 5), st.integers(0, 500), st.floats(0, 0.9), st.floats(0, 0.05)), min_size=1, max_size=80
    )
)
def test_of_a_healthy_world_nothing_is_late(steps: list[tuple[float, int, float, float]]) -> None:
    here, there = Stream(), Stream(apiserver="b:1")
    world = World(here, there)
    revision = known = 100
    for after, events, seconds, uncovered in steps:
        for stream, other in ((here, "b:1"), (there, "a:1")):
            stream.judges(on_time=events, seconds=seconds)
            stream.counts.uncovered_seconds += uncovered
            stream.is_in_store_with(other, up_to=revision, newest_event=revision)
        here.more["delivered"] = Delivered(known, known)  # its state is a moment older
        known, revision = revision, revision + events
        for facts in world.observe(after).streams:
            assert facts.late_since is None
            assert not facts.is_late
            assert facts.undelivered_seconds == 0
            assert facts.time_span is None or facts.time_span.latest < inf


@given(before=st.integers(0, 400), away=st.floats(0, 50))
def test_what_is_usual_of_a_stream_that_is_back_soon_is_still_known(before: int, away: float) -> None:
    pods, nodes = Stream(), Stream(resource="nodes")
    world = World(pods, nodes)
    for _ in range(45):
        pods.judges(on_time=before)
        world.stream()
    world.streams = [nodes]
    world.observe()
    world.streams = [pods, nodes]
    assert world.stream(away).usual_events_per_second is not None


def test_what_is_kept_of_many_streams_is_little() -> None:
    streams = [Stream(resource=f"widgets{number}", group="example.com") for number in range(266)]
    world = World(*streams)
    world.observe()
    tracemalloc.start()
    try:
        for _ in range(15):
            for stream in streams:
                stream.judges(on_time=300, late=3)
            world.observe(5.0)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 10 * 2**20
    assert sys.getsizeof(world.observations._streams) < 100_000
    world.streams = []
    world.observe(61.0)
    assert not world.observations._streams
