"""Many witnesses, one commit."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.dating import Evidence, Source, after, before, date_commit
from exporter.measure.times import ANY_TIME, Interval
from tests.measure.drawing import seconds

SOURCES: st.SearchStrategy[Source] = st.sampled_from(
    ["revision_clock", "date", "canary", "annotation", "managed_fields"]
)
EARLIEST = st.one_of(seconds(9), st.just(-inf))
LATEST = st.one_of(seconds(18, least=10), st.just(inf))
TRUE_COMMIT = seconds(10, least=9)

HONEST = st.lists(st.builds(Evidence, SOURCES, st.builds(Interval, EARLIEST, LATEST)), max_size=6)
ANY_EVIDENCE = st.lists(
    st.builds(Evidence, SOURCES, st.tuples(seconds(9), seconds(9)).map(lambda ends: Interval(min(ends), max(ends)))),
    max_size=6,
)


@given(HONEST, st.data())
def test_honest_evidence_leaves_the_truth_in_whatever_order_it_comes(
    evidence: list[Evidence], data: st.DataObject
) -> None:
    """Every interval here holds all of [9, 10]."""
    commit, _, contradictions = date_commit(data.draw(st.permutations(evidence)))
    assert commit.earliest == max((said.interval.earliest for said in evidence), default=-inf)
    assert commit.latest == min((said.interval.latest for said in evidence), default=inf)
    assert commit.earliest <= data.draw(TRUE_COMMIT) <= commit.latest
    assert contradictions == ()


@given(
    st.lists(st.one_of(HONEST, ANY_EVIDENCE), max_size=3).map(lambda lists: [said for some in lists for said in some])
)
def test_who_contradicts_those_before_is_named_and_left_out(evidence: list[Evidence]) -> None:
    commit, sources, contradictions = date_commit(evidence)
    assert commit.earliest <= commit.latest
    assert list(sources) == [said.source for said in evidence if said.interval != ANY_TIME]
    believed: list[Evidence] = []
    refused: list[Source] = []
    for said in evidence:
        latest_beginning = max([said.interval.earliest, *(other.interval.earliest for other in believed)])
        earliest_end = min([said.interval.latest, *(other.interval.latest for other in believed)])
        if latest_beginning <= earliest_end:
            believed.append(said)
        else:
            refused.append(said.source)
    assert list(contradictions) == refused
    assert (commit, ()) == date_commit(believed)[::2]


def test_the_most_certain_source_is_heard_first_and_wins() -> None:
    clock = Evidence("revision_clock", Interval(10.0, 10.2))
    forged = Evidence("managed_fields", after(4_000_000_000.0))
    dated = date_commit([clock, forged, Evidence("date", before(10.1))])
    assert dated.commit == Interval(10.0, 10.1)
    assert dated.sources == ("revision_clock", "managed_fields", "date")
    assert dated.contradictions == ("managed_fields",)


def test_without_evidence_a_commit_may_be_at_any_time() -> None:
    assert date_commit([]) == date_commit([Evidence("revision_clock", ANY_TIME)]) == (ANY_TIME, (), ())
