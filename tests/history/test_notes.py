from msgspec.structs import replace

from exporter.diagnosis.findings import Finding
from exporter.history.notes import Note
from exporter.history.recording import NOTES_OF_A_STREAM, NOTES_OF_ALL, History
from exporter.measure.stream_state import NOT_STARTED, StreamState, Trouble
from tests.support.states import state

BEHIND = Finding(
    fault="cache_behind",
    certainty="suspected",
    apiserver="10.0.0.1:6443",
    resource="pods",
    since=1.0,
    sentence="The watch cache of pods is behind its store.",
    evidence=(),
    excluded=(),
    remedy="",
    runbook="",
)


def seen(history: History, now: float, *states: StreamState) -> None:
    for _ in history.record(now, states):
        pass


def kinds(history: History) -> list[str]:
    return [note.kind for note in history.notes]


def test_what_changes_between_two_states_is_noted_with_its_time() -> None:
    history, before = History(), state()
    seen(history, 100.0, before)
    counts = before.counts.copy()
    counts.relists["gone"] += 1
    counts.ends["early_eof"] += 1
    counts.forced_closes += 1
    counts.canaries_lost += 2
    counts.canary_write_failures += 4
    counts.contradictions["date"] += 3
    after = state(counts=counts, is_up=False, trouble=Trouble("forbidden", "pods is forbidden"))
    seen(history, 101.0, after)
    assert kinds(history) == ["relist", "forced_close", "contradiction", "canary_lost", "canary_failed", "stream_down"]
    assert {note.at for note in history.notes} == {101.0}
    assert [note.times for note in history.notes] == [1, 1, 3, 2, 4, 1]
    assert history.notes[-1].text == "no watch is open: this exporter is not permitted to watch (forbidden)"
    assert "pods is forbidden" not in str(history.notes), "what apiservers say is for those who may read it"
    assert history.stream(after).last_end == (101.0, "early_eof")
    seen(history, 102.0, state(slo="violated", counts=counts))
    assert kinds(history)[6:] == ["stream_up", "condition"]
    assert history.notes[-1].text == "certainly late: the objective is violated"
    assert list(history.stream(after).notes) == history.notes


def test_the_start_is_nothing_of_note() -> None:
    history = History()
    for now, one in enumerate([state(is_up=False, trouble=NOT_STARTED), state(slo="quiet"), state(slo="met")]):
        seen(history, float(now), one)
    assert not history.notes
    assert [step.condition for step in history.stream(state()).fine] == ["met"], "not as if a watch had been lost"


def test_the_same_again_within_a_minute_is_counted_on() -> None:
    history, now = History(), state()
    seen(history, 0.0, now)
    for second in range(1, 91):
        counts = now.counts.copy()
        counts.forced_closes += 1
        now = replace(now, counts=counts)
        seen(history, float(second), now)
    assert [(note.at, note.times) for note in history.notes] == [(1.0, 61), (62.0, 29)]


def test_the_log_is_bounded_and_what_is_watched_no_more_is_forgotten() -> None:
    history, now = History(), state()
    other = state("nodes")
    seen(history, 0.0, now, other)
    for number in range(1, 4 * NOTES_OF_ALL):
        now = replace(now, is_up=not now.is_up)
        seen(history, float(number), now, other)
    assert len(history.notes) == NOTES_OF_ALL
    assert len(history.stream(now).notes) == NOTES_OF_A_STREAM
    seen(history, 1e6, other)
    assert not history.stream(now).notes
    assert list(history.stream(other).fine)


def test_findings_are_noted_when_they_begin_become_certain_and_end() -> None:
    history = History()
    history.record_findings(1.0, [BEHIND])
    history.record_findings(2.0, [replace(BEHIND, sentence="the same with other figures")])
    history.record_findings(3.0, [replace(BEHIND, certainty="shown")])
    history.record_findings(4.0, [])
    history.record_findings(5.0, [replace(BEHIND, fault="unknown_cause")])
    assert history.notes[-1] == Note(5.0, "fault_found", BEHIND.sentence, "10.0.0.1:6443", "", "pods")
    assert history.notes[:-1] == [
        Note(1.0, "fault_found", f"suspected: {BEHIND.sentence}", "10.0.0.1:6443", "", "pods"),
        Note(3.0, "fault_changed", f"confirmed: {BEHIND.sentence}", "10.0.0.1:6443", "", "pods"),
        Note(4.0, "fault_withdrawn", f"no longer found: {BEHIND.sentence}", "10.0.0.1:6443", "", "pods"),
    ]
