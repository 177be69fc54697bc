from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from exporter.diagnosis.findings import Finding
from exporter.diagnosis.sentences import AS_IT_BEGAN, MOST_NAMES, SEVERE_FIRST, WHO_CLOSES, Survey, concerns, sentences
from exporter.diagnosis.wording import listed
from exporter.diagnosis.words import CONDITION_WORDS
from exporter.measure.coverage import Hole
from exporter.measure.stream_state import (
    NOT_STARTED,
    CanaryTrouble,
    Fading,
    Interruptions,
    RevisionClockState,
    StreamState,
    Trouble,
)
from exporter.vocabulary import SHOWN_CONDITIONS
from exporter.wording.moments import when
from tests.support.states import APISERVER, counts, state

NOW = 1_700_000_000.0  # 22:13 UTC
SINCE = NOW - 600
OTHER = "10.0.0.2:6443"
BEHIND = Finding(
    fault="cache_behind",
    certainty="shown",
    apiserver=APISERVER,
    resource="pods",
    since=SINCE,
    sentence="Its watch cache is behind its store.",
    evidence=(),
    excluded=(),
    remedy="",
    runbook="",
)


def late(resource: str = "pods", p99: tuple[float, float] = (2.1, 2.4), apiserver: str = APISERVER) -> StreamState:
    return state(resource, "violated", p99, since=SINCE, apiserver=apiserver)


WIDGETS = state("widgets", group="example.com")
UNKNOWN = f"It is not certain whether watches of pods are late on {APISERVER}: {{why}}."
UNDATED = UNKNOWN.format(why="nothing dates the events, so that their latency has no upper bound")
DATED = RevisionClockState("events", "store")
LATE = f"Watches of pods are certainly late on {APISERVER} since 22:03 UTC, with a P99 of at least 2.1 s."


@pytest.mark.parametrize(
    ("states", "findings", "said"),
    [
        ([], [], "Nothing is watched yet."),
        (
            [state("pods"), state("nodes", p99=(0.0, 0.21))],
            [],
            f"All watches are on time: pods and nodes on {APISERVER}, within 0.21 s at P99.",
        ),
        ([state("pods", p99=(0.0, inf))], [], f"All watches are on time: pods on {APISERVER}."),
        ([late(), state("nodes"), WIDGETS], [], f"{LATE} Nodes and widgets are fine."),
        ([late(), state("nodes")], [BEHIND], f"{LATE} Its watch cache is behind its store. Nodes are fine."),
        (
            [late()],
            [replace(BEHIND, certainty="suspected")],
            f"{LATE} Suspected: Its watch cache is behind its store.",
        ),
        (
            [state("nodes", apiserver=OTHER), late()],
            [replace(BEHIND, apiserver=OTHER, sentence="Admission is slow there.")],
            f"{LATE} Admission is slow there. Nodes are fine.",
        ),
        ([late(), state("pods", apiserver=OTHER)], [], f"{LATE} One other watch is fine."),
        (
            [state("pods", is_up=False, trouble=Trouble("forbidden", "secret words"), since=SINCE)],
            [],
            (
                f"No watch of pods is open on {APISERVER} since 22:03 UTC: this exporter is not permitted to watch "
                "(forbidden); whether they are late is not known."
            ),
        ),
        (
            [replace(late(), is_since_start=True), late("nodes", apiserver=OTHER)],
            [],
            LATE.replace("pods", "pods and nodes").replace(
                f"{APISERVER} since 22:03 UTC", f"{APISERVER} and {OTHER} at least since 22:03 UTC, {AS_IT_BEGAN}"
            ),
        ),
        (
            [replace(late(), is_since_start=True), replace(late("nodes"), since=SINCE - 120)],
            [],
            LATE.replace("pods", "pods and nodes").replace("22:03", "22:01"),
        ),
        (
            [state("pods", is_up=False, trouble=NOT_STARTED)],
            [],
            f"The watches of pods on {APISERVER} have not started yet.",
        ),
        (
            [state("pods", "unknown"), state("nodes", "quiet")],
            [],
            f"{UNDATED} Too few events to judge nodes on {APISERVER}.",
        ),
    ],
)
def test_the_sentence_says_which_where_since_when_and_why(
    states: list[StreamState], findings: list[Finding], said: str
) -> None:
    assert " ".join(sentences(states, findings, NOW)) == said


def cut(resource: str, times: int, relists: int = 0, **more: Any) -> StreamState:
    run = Interruptions(times, relists, SINCE, is_repeated=times > 2 or relists > 1)
    return replace(state(resource, **more), interruptions=run)


def test_what_is_closed_by_force_again_and_again_is_not_fine_though_it_is_on_time() -> None:
    closed = (
        f"Watches of pods and nodes on {APISERVER} have been closed by force again and again since 22:03 UTC, "
        "up to 15 times each; what they deliver is on time."
    )
    assert sentences([cut("pods", 15), cut("nodes", 3), WIDGETS], [], NOW) == [closed, WHO_CLOSES, "Widgets are fine."]
    assert sentences([cut("pods", 15), cut("nodes", 3)], [BEHIND], NOW) == [closed, BEHIND.sentence]
    late_too = replace(late(), interruptions=cut("pods", 4).interruptions)
    assert sentences([late_too, WIDGETS], [], NOW) == [
        LATE,
        f"Watches of pods on {APISERVER} have been closed by force again and again since 22:03 UTC, 4 times.",
        WHO_CLOSES,
        "Widgets are fine.",
    ]
    quiet = sentences([cut("pods", 3, slo="quiet")], [], NOW)
    assert "on time" not in quiet[0]
    assert len(quiet) == 2


def test_how_long_watches_last_that_are_closed_by_force_tells_who_closes_them() -> None:
    def said(*lasted: tuple[float | None, float | None]) -> str:
        runs = [Interruptions(5, 0, SINCE, True, low, high) for low, high in lasted]  # noqa: FBT003 as it is written
        return sentences([replace(state(f"kind{n}"), interruptions=run) for n, run in enumerate(runs)], [], NOW)[0]

    assert "5 times, each time after about 60 s; what" in said((59.6, 60.1))
    assert "up to 5 times each, each time after about 60 s; what" in said((60.0, 60.1), (None, None), (59.9, 60.0))
    assert "5 times, after 3.0 s to 60 s; what" in said((3.0, 60.0))
    assert "5 times; what" in said((None, None))


def test_relists_again_and_again_are_said_beside_what_they_cause() -> None:
    relisted = (
        f"Watches of pods on {APISERVER} have had to relist again and again since 22:03 UTC, twice: "
        "events may be missing each time."
    )
    one = cut("pods", 1, 2, slo="unknown")
    assert sentences([one], [], NOW) == [UNDATED, relisted]
    assert sentences([replace(one, window=WIDGETS.window)], [], NOW) == [relisted]


def test_a_single_forced_close_is_mentioned_after_all_is_well() -> None:
    since = "closed by force once since 22:03 UTC"
    went_on = f"Watches of pods on {APISERVER} were {since}, and resumed where they had ended."
    said = sentences([cut("pods", 1), WIDGETS], [], NOW)
    assert said == [f"All watches are on time: pods and widgets on {APISERVER}, within 0.12 s at P99.", went_on]
    assert went_on not in sentences([cut("pods", 1, is_up=False, trouble=None), WIDGETS], [], NOW)
    assert went_on not in sentences([cut("pods", 1, 1), WIDGETS], [], NOW), "it is not known that nothing is lost"
    unsure = replace(WIDGETS.window, state="unknown", hole=Hole(0.0, 5.0, "gone"))
    away = replace(cut("pods", 1, slo="unknown"), window=unsure)
    assert went_on not in sentences([away, WIDGETS], [], NOW), "events may be missing"


def test_a_lost_canary_is_told_of_for_a_while_though_all_is_on_time() -> None:
    lost = replace(WIDGETS, canary_trouble=CanaryTrouble("lost", NOW - 60))
    *_, said = sentences([lost, late()], [], NOW)
    assert said == (f"A canary of widgets on {APISERVER} was lost at 22:12 UTC: its event did not come in time.")
    *_, said = sentences([replace(lost, counts=counts(canaries_lost=2))], [], NOW)
    assert said.startswith(f"Canaries of widgets on {APISERVER} were lost, the last at 22:12 UTC: their")
    assert sentences([lost], [], NOW)[0].startswith("All watches are on time: ")
    assert len(sentences([lost], [], NOW + 900)) == 1
    failed = replace(WIDGETS, canary_trouble=CanaryTrouble("failed", NOW - 60))
    assert len(sentences([failed], [], NOW)) == 1, "a write is no watch"


def test_every_condition_has_its_place_and_its_word() -> None:
    assert set(SEVERE_FIRST) == set(SHOWN_CONDITIONS) == CONDITION_WORDS.keys()
    assert len(SEVERE_FIRST) == len(SHOWN_CONDITIONS)


def test_it_says_why_it_is_not_certain_each_reason_by_itself() -> None:
    wide = state("pods", "unknown", (0.2, 2.2), revision_clock=DATED, since=SINCE)
    undated = state("nodes", "unknown", (0.2, inf), revision_clock=DATED)
    missing = replace(wide, resource="leases", window=replace(wide.window, hole=Hole(0.0, 5.0, "gone")))
    assert [one.unknown_reason for one in (wide, undated, missing)] == ["wide", "undated", "uncovered"]
    assert state(slo="met", revision_clock=DATED).unknown_reason is None
    assert replace(missing, is_up=False).unknown_reason is None
    since = UNKNOWN.replace("certain", "certain since 22:03 UTC")
    gone = (
        "events may be missing, because the history from which to go on was gone (410 Gone), so that it had to relist"
    )
    away = replace(missing, resource="secrets", window=replace(wide.window, hole=Hole(0.0, 5.0, "not_watched")))
    closed = "events may be missing, because no watch was open for longer than the threshold"
    late_polls = "too many events are not dated, so that their latency has no upper bound"
    assert sentences([wide, undated, missing, away], [], NOW) == [
        since.replace("pods", "secrets").format(why=closed),
        since.replace("pods", "leases").format(why=gone),
        UNKNOWN.replace("pods", "nodes").format(why=late_polls),
        since.format(why="the bounds are too wide, with a P99 between 0.20 s and 2.2 s"),
    ]


def test_what_is_over_is_said_to_be_so_unless_a_cause_is_still_seen() -> None:
    over = replace(late(), fading=Fading(None, NOW - 20, NOW + 40))
    was = LATE.replace("are certainly", "were certainly").replace("since", "from").removesuffix(".")
    was = f"{was}; that was over at 22:13:00, and stays in the window until 22:14:00 UTC."
    assert sentences([over], [], NOW) == [was]
    assert sentences([over], [BEHIND], NOW) == [LATE, BEHIND.sentence]
    gone = f"Seen until 22:13 UTC, not since: {BEHIND.sentence}"
    assert sentences([over], [replace(BEHIND, seen_until=NOW - 20)], NOW) == [was, gone]
    nodes = late("nodes")
    assert sentences([over, nodes], [], NOW) == [LATE.replace("pods", "nodes"), was], "what goes on comes first"
    away = replace(WIDGETS.window, state="unknown", hole=Hole(0.0, 5.0, "not_watched"))
    missing = replace(state("pods"), window=away, fading=Fading(NOW - 60, NOW - 20, NOW + 40))
    [said] = sentences([missing], [], NOW)
    assert said.endswith("threshold; that was over at 22:13:00, and stays in the window until 22:14:00 UTC.")


def test_what_was_found_is_told_for_as_long_as_the_window_has_what_it_caused() -> None:
    def told(past: Finding, *states: StreamState, findings: Sequence[Finding] = ()) -> bool:
        survey = Survey(findings, [past])
        for one in states:
            survey.add(one)
        is_said = f"Seen until 22:13 UTC, not since: {past.sentence}" in survey.sentences(NOW)
        assert is_said == (survey.explaining == [past])
        return is_said

    over, withdrawn = replace(late(), fading=Fading(None, NOW - 20, NOW + 40)), replace(BEHIND, seen_until=NOW - 20)
    assert told(withdrawn, over, late("nodes"))
    assert told(replace(withdrawn, resource=""), over, replace(over, resource="leases"))
    assert not told(withdrawn, late()), "it may be another cause now"
    survey = Survey([], [replace(withdrawn, resource="")])
    for one in (over, late("nodes")):
        survey.add(one)
    assert survey.sentences(NOW)[-1].startswith("Seen until"), "of what is over, not of what is late now"
    assert not told(withdrawn, over, findings=[BEHIND]), "it is seen again"
    assert not told(withdrawn, replace(over, since=NOW - 10)), "it was over before"
    assert not told(replace(withdrawn, resource="nodes"), over)
    assert not told(withdrawn, state("pods"))


def test_a_fault_that_is_seen_no_more_is_said_after_what_is_fine_and_when_it_was() -> None:
    fine = f"All watches are on time: pods and nodes on {APISERVER}, within 0.12 s at P99."
    both = [state("pods"), state("nodes")]
    for certainty, was in (("shown", "Seen"), ("suspected", "Suspected")):
        gone = replace(BEHIND, certainty=certainty, seen_until=NOW - 20)
        assert sentences(both, [gone], NOW) == [fine, f"{was} until 22:13 UTC, not since: {BEHIND.sentence}"]
    assert sentences(both, [BEHIND], NOW) == [BEHIND.sentence, "Nodes are fine."], "pods are not both"
    assert sentences(both[:1], [BEHIND], NOW) == [BEHIND.sentence]
    assert sentences(both, [replace(BEHIND, resource="")], NOW)[1] == "Pods and nodes are fine."


def test_of_what_is_late_the_streams_whose_cause_is_not_found_are_named() -> None:
    both = LATE.replace("pods", "pods and nodes")
    rest = f"No cause is found for nodes on {APISERVER}."
    assert sentences([late(), late("nodes")], [BEHIND], NOW) == [both, BEHIND.sentence, rest]
    assert sentences([late(), late("nodes")], [replace(BEHIND, resource="")], NOW) == [both, BEHIND.sentence]
    for other in (replace(BEHIND, seen_until=NOW - 20), replace(BEHIND, fault="unknown_cause", certainty="suspected")):
        assert rest not in sentences([late(), late("nodes")], [other], NOW)


def test_a_finding_of_a_kind_is_not_of_another_group_with_the_same_name() -> None:
    longhorn = state("nodes", group="longhorn.io")
    finding = replace(BEHIND, resource="nodes")
    assert concerns(finding, state("nodes"))
    assert not concerns(finding, longhorn)
    assert concerns(replace(finding, group="longhorn.io"), longhorn)
    assert concerns(replace(finding, resource=""), longhorn)
    assert not concerns(replace(finding, resource="", apiserver="elsewhere:1"), longhorn)


def test_that_a_cause_is_unknown_is_no_suspicion() -> None:
    unknown = replace(BEHIND, fault="unknown_cause", certainty="suspected", sentence="Nothing says why.")
    assert sentences([late()], [unknown], NOW) == [LATE, "Nothing says why."]


def test_a_refusal_is_said_once_while_it_is_why_no_watch_is_open() -> None:
    refused = replace(BEHIND, fault="exporter_refused", sentence="This exporter may not watch pods.")
    down = state("pods", is_up=False, trouble=Trouble("forbidden"), since=SINCE)
    [said] = sentences([down], [refused], NOW)
    assert said.endswith("this exporter is not permitted to watch (forbidden); whether they are late is not known.")
    assert refused.sentence in sentences([state("pods")], [refused], NOW)


def test_what_is_late_comes_first_and_a_long_list_is_cut() -> None:
    states = [state(f"kind{number}", "unknown") for number in range(300)]
    said = " ".join(sentences([*states, late()], [], NOW))
    assert said.startswith(LATE)
    assert "kind0, kind1, kind2 and 297 more" in said
    assert len(said) < 400


def test_the_same_plural_in_two_groups_is_told_apart() -> None:
    states = [state("events", "unknown"), state("events", "violated", (3.0, 3.1), group="events.k8s.io")]
    assert "Watches of events.events.k8s.io are certainly late" in " ".join(sentences(states, [], NOW))


def test_times_of_another_day_have_their_date() -> None:
    assert when(NOW - 60, NOW) == "22:12 UTC"
    assert when(NOW - 86_400, NOW) == "Nov 13, 22:13 UTC"


def test_lists() -> None:
    assert listed(["a"], MOST_NAMES) == "a"
    assert listed(["a", "b", "a"], MOST_NAMES) == "a and b"
    assert listed(["a", "b", "c", "d"], MOST_NAMES) == "a, b, c and d"
    assert listed(["a", "b", "c", "d", "e"], MOST_NAMES) == "a, b, c and 2 more"
