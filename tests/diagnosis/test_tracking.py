"""What is seen at moments becomes findings with a beginning and an end."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.diagnosis.diagnose import Cause
from exporter.diagnosis.rules import EXCLUSIVE
from exporter.diagnosis.tracking import PAST_SECONDS, WITHDRAWN_AFTER_SECONDS, Tracker
from exporter.vocabulary import CERTAINTIES, FAULTS
from tests.diagnosis.cases import CASES, A, B, causes

BEHIND = Cause("cache_behind", "suspected", A, "", "pods", "the watch cache is behind", ("it is late",), ())
SHOWN = BEHIND._replace(certainty="shown", evidence=("it is late", "reads wait"), confirmed=("reads wait",))
PLACE = (A, "", "pods")


def test_a_cause_is_named_once_it_was_seen_twice_since_the_place_suffers() -> None:
    findings = Tracker()
    assert findings.update(100.0, [SHOWN], {PLACE: 92.0}) == []
    (change,) = findings.update(102.0, [SHOWN], {PLACE: 92.0})
    assert (change.what, change.finding.since) == ("found", 92.0)
    assert findings.named == [change.finding]


def test_what_is_only_suspected_has_to_be_seen_for_longer() -> None:
    findings = Tracker()
    for now in (100.0, 102.0, 104.0):
        assert findings.update(now, [BEHIND], {}) == []
    (change,) = findings.update(106.0, [BEHIND], {})
    assert (change.what, change.finding.certainty) == ("found", "suspected")


def test_a_glimpse_is_no_finding() -> None:
    findings = Tracker()
    findings.update(100.0, [BEHIND], {})
    assert findings.update(102.0, [], {}) == []
    findings.update(104.0, [BEHIND], {})
    assert findings.named == []


def test_a_finding_outlives_short_gaps_and_is_withdrawn_after_a_long_one() -> None:
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, [BEHIND], {})
    assert findings.update(102.0 + WITHDRAWN_AFTER_SECONDS / 2, [], {}) == []
    assert len(findings.named) == 1
    (change,) = findings.update(102.0 + WITHDRAWN_AFTER_SECONDS, [], {})
    assert change.what == "withdrawn"
    assert findings.named == []


def test_what_is_seen_no_more_says_until_when_it_was_seen() -> None:
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, [SHOWN], {})
    for now, until in ((104.0, None), (106.0, 102.0), (110.0, 102.0)):
        assert findings.update(now, [], {}) == []
        assert [one.seen_until for one in findings.named] == [until]
    findings.update(112.0, [BEHIND], {})
    assert [one.seen_until for one in findings.named] == [None], "it is seen again, though not confirmed"
    (change,) = findings.update(112.0 + WITHDRAWN_AFTER_SECONDS, [], {})
    assert (change.what, change.finding.seen_until) == ("withdrawn", 112.0)


def test_what_ended_by_itself_is_kept_for_a_while_and_what_was_explained_better_is_not() -> None:
    unknown = BEHIND._replace(fault="unknown_cause")
    for cause, kept in ((SHOWN, ["cache_behind"]), (unknown, [])):
        findings = Tracker()
        for now in (90.0, 102.0):
            findings.update(now, [cause], {})
        assert findings.past == []
        findings.update(102.0 + WITHDRAWN_AFTER_SECONDS, [], {})
        assert [one.fault for one in findings.past] == kept
        assert [one.seen_until for one in findings.past] == [102.0] * len(kept)
        findings.update(102.0 + PAST_SECONDS, [], {})
        assert findings.past == []
    findings = Tracker()
    other = SHOWN._replace(fault="cache_stuck")
    for now, cause in ((96.0, SHOWN), (102.0, SHOWN), (104.0, other), (106.0, other)):
        findings.update(now, [cause], {})
    assert [one.fault for one in findings.named] == ["cache_stuck"]
    assert findings.past == [], "it was that all the time"
    for now in (106.0 + WITHDRAWN_AFTER_SECONDS, 140.0, 142.0, 144.0):
        findings.update(now, [other] if now >= 140.0 else [], {})
    assert findings.past == [], "it is there again"


def test_it_becomes_shown_and_stays_so_while_what_confirmed_it_is_recent() -> None:
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, [BEHIND], {})
    (change,) = findings.update(104.0, [SHOWN], {})
    assert (change.what, change.finding.certainty) == ("changed", "shown")
    assert findings.update(110.0, [BEHIND], {}) == []
    assert "reads wait" in findings.named[0].evidence
    (change,) = findings.update(160.0, [BEHIND], {})
    assert change.finding.certainty == "suspected"
    assert change.finding.since == 96.0


def test_figures_are_of_now_while_it_lasts_and_no_change_of_the_finding() -> None:
    findings = Tracker()
    for now in (96.0, 102.0, 104.0):
        findings.update(now, [BEHIND if now < 104 else SHOWN], {})
    for cause in (BEHIND, SHOWN):
        newer = tuple(["late by 3.0 s" if said == "it is late" else said for said in cause.evidence])
        assert findings.update(106.0, [cause._replace(evidence=newer, excluded=("no slow path: 2 ms",))], {}) == []
        (finding,) = findings.named
        assert (finding.certainty, finding.since) == ("shown", 96.0)
        assert finding.evidence == ("late by 3.0 s", "reads wait")
        assert finding.excluded == ("no slow path: 2 ms",)


def test_what_is_there_from_the_first_look_on_may_be_there_for_longer() -> None:
    for began, is_since_start in ((2.0, True), (60.0, False)):
        findings = Tracker()
        findings.update(0.0, [], {})
        for now in (began, began + 6.0, began + 100.0):
            findings.update(now, [BEHIND], {})
        assert [one.is_since_start for one in findings.named] == [is_since_start]


def test_a_more_exact_cause_takes_the_place_of_what_it_explains_at_once() -> None:
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, [BEHIND], {})
    store = BEHIND._replace(fault="store_slow", resource="")
    elsewhere = store._replace(apiserver=B)
    findings.update(104.0, [elsewhere], {})
    assert [one.fault for one in findings.named] == ["cache_behind"]
    findings.update(106.0, [store, elsewhere], {})
    assert ("cache_behind", A) not in {(one.fault, one.apiserver) for one in findings.named}


def test_what_a_suspected_cause_may_have_left_is_named_all_the_same_once_it_is_shown() -> None:
    store = BEHIND._replace(fault="store_slow", resource="")
    for cause, leaves_it in ((store, True), (store._replace(certainty="shown", confirmed=("etcd is slow",)), False)):
        for left, is_named in ((BEHIND, False), (SHOWN, leaves_it)):
            findings = Tracker()
            for now in (96.0, 102.0):
                findings.update(now, [cause], {})
            for now in (104.0, 106.0, 112.0):
                findings.update(now, [left], {})
            assert ("cache_behind" in {one.fault for one in findings.named}) is is_named
            withdrawn = 102.0 + WITHDRAWN_AFTER_SECONDS
            for now in (withdrawn, withdrawn + 2.0, withdrawn + 10.0):
                findings.update(now, [left], {})
            assert ("cache_behind" in {one.fault for one in findings.named}) is is_named


def test_a_refusal_after_what_may_be_a_restart_is_no_fault_of_its_own() -> None:
    restarted = BEHIND._replace(fault="apiserver_restarted", resource="")
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, [restarted], {})
    for now in (124.0, 126.0):
        findings.update(now, [SHOWN._replace(fault="exporter_refused")], {})
    assert "exporter_refused" not in {one.fault for one in findings.named}


def test_shown_comes_first_and_then_the_more_exact() -> None:
    findings = Tracker()
    storm = BEHIND._replace(fault="write_storm", resource="nodes")
    for now in (96.0, 102.0):
        findings.update(now, [storm, SHOWN], {})
    assert [one.fault for one in findings.named] == ["cache_behind", "write_storm"]


def test_a_finding_carries_a_sentence_a_remedy_and_a_runbook() -> None:
    findings = Tracker()
    for now in (96.0, 102.0):
        findings.update(now, causes(CASES["store_slow"][0]), {})
    (finding,) = findings.named
    assert finding.sentence == "The store (etcd) of 127.0.0.1:6443 answers slowly."
    assert finding.steps[0].startswith("Look at etcd's disk: `histogram_quantile(")
    assert finding.remedy == " ".join(finding.steps)
    assert finding.runbook.endswith("docs/faults.md#store_slow")


_causes = st.lists(
    st.builds(
        lambda fault, certainty, apiserver, resource: Cause(
            fault, certainty, apiserver, "", resource, "it is", ("e",), ()
        ),
        st.sampled_from(FAULTS),
        st.sampled_from(CERTAINTIES),
        st.sampled_from([A, B]),
        st.sampled_from(["", "pods"]),
    ),
    max_size=4,
)


def _allowed(seen: list[Cause]) -> list[Cause]:
    """As the rules leave them: none that exclude each other at one place."""
    kept: list[Cause] = []
    for cause in seen:
        if not any(
            frozenset((cause.fault, one.fault)) in EXCLUSIVE and cause.apiserver == one.apiserver for one in kept
        ):
            kept.append(cause)
    return kept


@given(st.lists(st.tuples(st.sampled_from([2.0, 2.0, 15.0, 60.0]), _causes), max_size=20))
def test_found_and_withdrawn_take_turns_and_what_excludes_each_other_is_never_named_together(
    history: list[tuple[float, list[Cause]]],
) -> None:
    findings, now = Tracker(), 0.0
    open_findings: set[tuple[str, str, str, str]] = set()
    for pause, seen in history:
        now += pause
        for what, finding in findings.update(now, _allowed(seen), {}):
            assert (finding.key in open_findings) is (what != "found")
            (open_findings.add if what == "found" else open_findings.discard)(finding.key)
            if what == "changed":
                open_findings.add(finding.key)
        assert {one.key for one in findings.named} == open_findings
        assert all(one.since <= now for one in findings.named)
        for one in findings.named:
            for other in findings.named:
                same = (one.apiserver, one.group, one.resource) == (other.apiserver, other.group, other.resource)
                assert not (same and frozenset((one.fault, other.fault)) in EXCLUSIVE)


def test_what_a_fault_has_left_is_no_fault_of_its_own() -> None:
    findings = Tracker()
    unknown = BEHIND._replace(fault="unknown_cause")
    for now in (96.0, 102.0):
        findings.update(now, [BEHIND], {})
    for now in range(104, 130, 2):
        findings.update(float(now), [unknown], {})
    assert findings.named == []
    elsewhere = unknown._replace(resource="nodes")
    for now in range(130, 142, 2):
        findings.update(float(now), [unknown, elsewhere], {})
    assert [one.resource for one in findings.named] == ["nodes"]
    for now in range(142, 170, 2):
        findings.update(float(now), [unknown], {})
    assert ("unknown_cause", "pods") in {(one.fault, one.resource) for one in findings.named}


def test_while_polls_have_recovered_before_the_events_that_were_late_are_forgotten_it_is_still_the_same_fault() -> None:
    findings = Tracker()
    overloaded = next(cause for cause in causes(CASES["apiserver_overloaded"][0]))
    behind = next(cause for cause in causes(CASES["cache_behind"][0]))
    for now in (0.0, 2.0):
        findings.update(now, [overloaded], {})
    for now in (4.0, 6.0, 30.0, 32.0):
        findings.update(now, [behind], {})
    assert "cache_behind" not in {one.fault for one in findings.named}
    for now in (80.0, 82.0):
        findings.update(now, [behind], {})
    assert [one.fault for one in findings.named] == ["cache_behind"]


def test_that_nothing_explains_it_is_said_only_when_nothing_has_for_a_while() -> None:
    findings, unknown = Tracker(), BEHIND._replace(fault="unknown_cause")
    for now in range(0, 10, 2):
        assert findings.update(float(now), [unknown], {}) == []
    (change,) = findings.update(10.0, [unknown], {})
    assert (change.what, change.finding.fault) == ("found", "unknown_cause")
