"""The whole core in a drawn world: polls, Dates, arrivals and our own stalls together never say what is not true."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.measure.drawing import seconds, ticking
from tests.measure.histories import History
from tests.measure.server_clock import CLOCKS, ROUNDING_SECONDS
from tests.measure.worlds import THRESHOLD_SECONDS, Observer, Pause, Phase, World

SOON = st.one_of(seconds(0.02, least=0.002), seconds(3, least=0.002))
PHASES = st.lists(st.builds(Phase, seconds(4, least=1), out=SOON, back=SOON, delivery=SOON), min_size=1, max_size=3)
IN_HEALTH = st.sampled_from([(), (Phase(5.0),)])

WORLDS = st.builds(
    World,
    history=ticking(most_apart=0.8, most=30).map(lambda commits: History(tuple(2 + commit for commit in commits))),
    phases=st.builds(lambda health, trouble: (*health, *trouble), IN_HEALTH, PHASES),
    our_stall=st.builds(Pause, seconds(10), seconds(3)),
    etcd_freeze=st.builds(Pause, seconds(10), seconds(3)),
    server_clock=st.one_of(st.none(), CLOCKS),
    streams=st.integers(1, 2),
    seed=st.integers(0, 1000),
)


@given(WORLDS)
def test_no_interval_misses_the_truth_and_no_verdict_is_false(world: World) -> None:
    for judgement, true_latency, *_ in Observer(world).run():
        assert judgement.dated.contradictions == ()
        assert judgement.latency.earliest - ROUNDING_SECONDS <= true_latency
        assert true_latency <= judgement.latency.latest + ROUNDING_SECONDS
        if judgement.verdict == "late":
            assert true_latency > THRESHOLD_SECONDS - ROUNDING_SECONDS
        if judgement.verdict == "on_time":
            assert true_latency <= THRESHOLD_SECONDS + ROUNDING_SECONDS


@given(WORLDS)
def test_what_is_said_before_the_verdict_holds_the_truth_and_is_never_taken_back(world: World) -> None:
    """So the window may count with it: more evidence makes no late event on time, and no interval wider."""
    for judgement, true_latency, _, said_before in Observer(world).run():
        for said in said_before:
            assert said.latency.earliest - ROUNDING_SECONDS <= true_latency <= said.latency.latest + ROUNDING_SECONDS
            assert said.latency.earliest <= judgement.latency.earliest
            assert judgement.latency.latest <= said.latency.latest
            assert said.verdict in {judgement.verdict, "ambiguous"}


@given(WORLDS)
def test_each_event_is_judged_once_on_each_stream(world: World) -> None:
    judged = Counter(verdict.judgement.event.revision for verdict in Observer(world).run())
    assert judged == dict.fromkeys(world.history.revisions, world.streams)


@given(WORLDS)
@settings(max_examples=20)
def test_with_prompt_answers_and_no_stall_nothing_stays_open(world: World) -> None:
    """Whatever the delivery: polls at five a second tell the latency to about two of their periods."""
    prompt = (*(Phase(phase.seconds, delivery=phase.delivery) for phase in world.phases), Phase(25.0))
    for judgement, _, early, _ in Observer(World(world.history, prompt, seed=world.seed)).run():
        assert early is None
        assert judgement.latency.width <= 0.5
