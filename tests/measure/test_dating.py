"""Many witnesses, one commit."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.dating import AssumedEvidence, DateEvidence, Evidence, OwnEvidence, after, before, date_commit
from exporter.measure.times import ANY_TIME, Interval
from exporter.vocabulary import AssumedSource, OwnSource, Source
from tests.measure.drawing import seconds

EARLIEST = st.one_of(seconds(9), st.just(-inf))
LATEST = st.one_of(seconds(18, least=10), st.just(inf))
TRUE_COMMIT = seconds(10, least=9)
OWN_SOURCES: st.SearchStrategy[OwnSource] = st.sampled_from(["revision_clock", "arrival", "canary"])
ASSUMED_SOURCES: st.SearchStrategy[AssumedSource] = st.sampled_from(["annotation", "managed_fields"])


def evidence_of(intervals: st.SearchStrategy[Interval]) -> st.SearchStrategy[Evidence]:
    return st.builds(
        Evidence,
        st.lists(st.builds(OwnEvidence, OWN_SOURCES, intervals), max_size=3),
        st.lists(st.builds(DateEvidence, st.just("date"), intervals), max_size=1),
        st.lists(st.builds(AssumedEvidence, ASSUMED_SOURCES, intervals), max_size=3),
    )


def in_order(evidence: Evidence) -> list[OwnEvidence | DateEvidence | AssumedEvidence]:
    return [*evidence.own, *evidence.dates, *evidence.assumed]


TRUE_INTERVALS = st.builds(Interval, EARLIEST, LATEST)
ANY_INTERVALS = st.tuples(seconds(18), seconds(18)).map(lambda ends: Interval(min(ends), max(ends)))
HONEST = evidence_of(TRUE_INTERVALS)
WITH_HONEST_CLOCK = st.builds(
    Evidence,
    st.lists(st.builds(OwnEvidence, OWN_SOURCES, TRUE_INTERVALS), max_size=3),
    st.lists(st.builds(DateEvidence, st.just("date"), ANY_INTERVALS), max_size=1),
    st.lists(st.builds(AssumedEvidence, ASSUMED_SOURCES, ANY_INTERVALS), max_size=3),
)


@given(HONEST, TRUE_COMMIT)
def test_honest_evidence_leaves_the_truth(evidence: Evidence, true_commit: float) -> None:
    """Every interval here holds all of [9, 10]."""
    said = [one.interval for one in in_order(evidence)]
    commit, _, contradictions = date_commit(evidence)
    assert commit.earliest == max((interval.earliest for interval in said), default=-inf)
    assert commit.latest == min((interval.latest for interval in said), default=inf)
    assert commit.earliest <= true_commit <= commit.latest
    assert contradictions == ()


@given(evidence_of(st.one_of(TRUE_INTERVALS, ANY_INTERVALS)))
def test_who_contradicts_those_before_is_named_and_left_out(evidence: Evidence) -> None:
    commit, sources, contradictions = date_commit(evidence)
    assert commit.earliest <= commit.latest
    assert list(sources) == [said.source for said in in_order(evidence) if said.interval != ANY_TIME]
    believed: list[Interval] = []
    refused: list[Source] = []
    for said in in_order(evidence):
        latest_beginning = max([said.interval.earliest, *(other.earliest for other in believed)])
        earliest_end = min([said.interval.latest, *(other.latest for other in believed)])
        if latest_beginning <= earliest_end:
            believed.append(said.interval)
        else:
            refused.append(said.source)
    assert list(contradictions) == refused


@given(WITH_HONEST_CLOCK)
def test_our_own_clock_never_loses_to_another_whatever_that_says(evidence: Evidence) -> None:
    commit, _, contradictions = date_commit(evidence)
    assert not {"revision_clock", "arrival", "canary"} & {*contradictions}
    for own in evidence.own:
        assert own.interval.earliest <= commit.earliest
        assert commit.latest <= own.interval.latest


def test_the_most_certain_source_is_heard_first_and_wins() -> None:
    clock = OwnEvidence("revision_clock", Interval(10.0, 10.2))
    forged = AssumedEvidence("managed_fields", after(4_000_000_000.0))
    dated = date_commit(Evidence([clock], [DateEvidence("date", before(10.1))], [forged]))
    assert dated.commit == Interval(10.0, 10.1)
    assert dated.sources == ("revision_clock", "date", "managed_fields")
    assert dated.contradictions == ("managed_fields",)


def test_without_evidence_a_commit_may_be_at_any_time() -> None:
    nothing_said = Evidence([OwnEvidence("revision_clock", ANY_TIME)], [], [])
    assert date_commit(Evidence([], [], [])) == date_commit(nothing_said) == (ANY_TIME, (), ())


def test_a_stamp_later_than_the_arrival_is_refuted_by_it() -> None:
    said = Evidence([OwnEvidence("revision_clock", Interval(1, 9))], [], [AssumedEvidence("annotation", after(5))])
    assert date_commit(said, arrived=4.0) == (Interval(1, 4), ("revision_clock", "annotation"), ("annotation",))
    assert date_commit(said, arrived=6.0) == (Interval(5, 6), ("revision_clock", "annotation"), ())
