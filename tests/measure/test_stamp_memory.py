"""Whether a write moved the newest stamp of its object: said of what is remembered only, and in bounded memory."""

import tracemalloc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.events import Event, Stamps
from exporter.measure.write_times import StampMemory
from exporter.vocabulary import EventType

LIVE: tuple[EventType, ...] = ("added", "modified", "modified", "modified", "deleted")


def event(event_type: EventType, uid: str, second: int | None) -> Event:
    stamp = f"2026-11-22T16:33:{second:02}Z" if second is not None else ""
    return Event(event_type, 1, uid, Stamps(stamp))


EVENTS = st.lists(
    st.builds(event, st.sampled_from(LIVE), st.sampled_from("abcdefgh"), st.none() | st.integers(0, 5)), max_size=60
)


def moved(events: Sequence[Event], most_objects: int) -> list[bool]:
    memory = StampMemory(most_objects)
    return [memory.learn(one) for one in events]


def moved_by_history(events: Sequence[Event]) -> list[bool | None]:
    """What the whole history says; None of the first that is seen of an object, if that did not create it."""
    newest: dict[str, str] = {}
    said: list[bool | None] = []
    for one in events:
        stamp, before = one.stamps.managed_fields, newest.pop(one.uid, None)
        if one.event_type != "deleted":
            newest[one.uid] = stamp
        is_new = one.event_type == "added" and stamp != ""
        said.append(stamp > before if before is not None else is_new or None)
    return said


@given(EVENTS)
def test_while_all_objects_are_remembered_it_says_what_the_history_says(events: list[Event]) -> None:
    assert moved(events, most_objects=16) == [bool(said) for said in moved_by_history(events)]


@given(EVENTS, st.integers(2, 8))
def test_forgetting_never_makes_a_write_move_a_stamp_that_it_did_not(events: list[Event], most_objects: int) -> None:
    for one, said, truth in zip(events, moved(events, most_objects), moved_by_history(events), strict=True):
        # The watch says itself that an object is new.
        assert not said or truth or (one.event_type == "added" and one.stamps.managed_fields)


def test_what_was_written_lately_is_remembered_however_many_others_were_before() -> None:
    memory = StampMemory(most_objects=100)
    for number in range(1000):
        memory.learn(event("modified", f"other-{number}", 1))
    memory.learn(event("modified", "it", 1))
    for number in range(60):
        memory.learn(event("modified", f"other-{number}", 1))
    assert memory.learn(event("modified", "it", 2))
    assert not memory.learn(event("modified", "it", 2))


def test_of_half_as_many_objects_as_fit_none_is_ever_forgotten() -> None:
    memory = StampMemory(most_objects=100)
    for second in range(20):
        moved = [memory.learn(event("modified", f"it-{number}", second)) for number in range(50)]
        assert all(moved) or second == 0


def test_what_was_not_written_for_longest_is_forgotten() -> None:
    memory = StampMemory(most_objects=100)
    memory.learn(event("modified", "it", 1))
    for number in range(100):
        memory.learn(event("modified", f"other-{number}", 1))
    assert not memory.learn(event("modified", "it", 2)), "that it moved is not known any more"
    assert memory.learn(event("modified", "it", 3))


def test_it_grows_with_what_it_may_remember_and_not_with_what_goes_by() -> None:
    few, many = (remembered_bytes(objects) for objects in (2_000, 20_000))
    assert many < 1.5 * few


def remembered_bytes(objects: int) -> int:
    memory = StampMemory(most_objects=2_000)
    tracemalloc.start()
    for number in range(objects):
        memory.learn(event("added", f"{number:036}", number * 60 // objects))
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size_bytes


def test_stamps_of_objects_without_a_uid_are_not_compared() -> None:
    memory = StampMemory()
    assert [memory.learn(event("modified", "", second)) for second in (1, 2)] == [False, False]
    assert memory.learn(event("added", "", 1))
