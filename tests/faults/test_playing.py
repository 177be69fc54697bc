"""What counts as right, of what was said at which moment."""

import pytest

from tests.faults.playing import Played, Said

SHOWN, SUSPECTED = "shown", "suspected"


def played(*said: tuple[float, str, str, int], right: tuple[str, ...] = ("path_slow",)) -> Played:
    """Made at 10, ended at 20; of each moment the best finding and how many events were late so far."""
    moments = [
        Said(at, ((fault, certainty),) if fault else (), late, is_down=False) for at, fault, certainty, late in said
    ]
    return Played("path_slow", "heavy", "peers", right, began=10.0, ended=20.0, said=moments)


def test_the_right_name_is_counted_from_the_first_late_event_and_its_withdrawal_from_the_end() -> None:
    it = played(
        (9, "", "", 7), (12, "", "", 8), (15, "path_slow", SUSPECTED, 9), (25, "path_slow", SHOWN, 9), (26, "", "", 9)
    )
    assert (it.outcome, it.first, it.named_seconds) == ("right", ("path_slow", "shown"), 3.0)
    assert it.withdrawn_seconds == 5.5
    assert it.names == ["path_slow", "path_slow!"]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ([(12, "store_slow", SUSPECTED, 1), (15, "path_slow", SHOWN, 1)], "wrong"),
        ([(12, "path_slow", SUSPECTED, 1), (25, "store_slow", SHOWN, 1)], "wrong, shown"),
        ([(12, "", "", 1)], "not named"),
        ([(12, "", "", 0)], "no trouble"),
    ],
)
def test_what_else_it_may_come_to(said: list[tuple[float, str, str, int]], outcome: str) -> None:
    assert played((9, "", "", 0), *said).outcome == outcome


def test_a_watch_that_is_opened_again_within_a_second_is_no_trouble() -> None:
    def down(*at: float) -> Played:
        looks = [Said(10 + 0.5 * number, (), 0, is_down=10 + 0.5 * number in at) for number in range(12)]
        return Played("apiserver_restarted", "light", "balancer", (), began=10.0, ended=20.0, said=looks)

    assert down(11.0, 11.5).certain_at is None
    assert down(11.0, 12.0, 13.0).certain_at is None
    assert down(11.0, 11.5, 12.0).certain_at == 12.0


@pytest.mark.parametrize(
    ("said", "is_calm"),
    [
        ([(21, "", "", 5), (31, "", "", 5)], True),
        ([(21, "", "", 5), (29, "", "", 5)], False),
        ([(21, "", "", 5), (31, "path_slow", SHOWN, 5)], False),
        ([(21, "path_slow", SHOWN, 5), (30, "", "", 5)], False),
        ([(21, "", "", 5), (31, "", "", 9)], False),
    ],
)
def test_the_next_fault_waits_for_what_this_one_held_back(
    said: list[tuple[float, str, str, int]], *, is_calm: bool
) -> None:
    assert played((9, "", "", 0), *said).is_calm is is_calm
    assert not played().is_calm, "nobody has answered yet"


def test_nothing_is_right_where_nobody_can_tell() -> None:
    assert played((12, "", "", 1), right=("path_slow", "")).outcome == "right"


def test_what_is_never_withdrawn_has_no_time() -> None:
    assert played((12, "path_slow", SHOWN, 1), (99, "path_slow", SHOWN, 1)).withdrawn_seconds is None
