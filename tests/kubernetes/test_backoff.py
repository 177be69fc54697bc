"""How long to wait before the next try."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.backoff import (
    AT_ONCE_SECONDS,
    FIRST_SECONDS,
    LONGEST_ASKED_SECONDS,
    LONGEST_SECONDS,
    Backoff,
)


@given(failures=st.integers(0, 40))
def test_waits_double_up_to_the_longest(failures: int) -> None:
    backoff = Backoff()
    for _ in range(failures):
        backoff.after_failure()
    assert 0 <= backoff.after_failure() <= min(FIRST_SECONDS * 2**failures, LONGEST_SECONDS)
    backoff.succeeded()
    assert 0 <= backoff.after_failure() <= FIRST_SECONDS


def test_waits_come_near_the_longest_and_do_not_stay_below() -> None:
    backoff = Backoff()
    assert max(backoff.after_failure() for _ in range(100)) > LONGEST_SECONDS / 2


@given(asked=st.floats(0, 1e9))
def test_what_the_server_asks_for_is_waited_for_within_reason(asked: float) -> None:
    wait = Backoff().after_failure(asked)
    assert min(asked, LONGEST_ASKED_SECONDS) <= wait <= LONGEST_ASKED_SECONDS + FIRST_SECONDS


def test_even_the_first_reconnect_is_spread() -> None:
    waits = {Backoff().at_once() for _ in range(20)}
    assert len(waits) > 1
    assert max(waits) <= AT_ONCE_SECONDS
