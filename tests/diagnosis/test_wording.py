"""Bounds in words stay true: what is said to be at least, or at most, is rounded that way."""

import re
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.diagnosis.wording import about, at_least_seconds, at_most_seconds, between, counted, seconds
from exporter.measure.times import Interval

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}
ALL_SECONDS = st.floats(0.0, 1e6)


def read(words: str) -> float:
    """The seconds that they say."""
    number, unit = re.fullmatch(r"(?:at \w+ )?([0-9.]+) (\w+)", words).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


@given(ALL_SECONDS)
@example(100.0)
@example(149.0)
@example(2.3)
@example(0.0995)
@example(0.25)
def test_a_lower_end_is_never_above_and_an_upper_end_never_below_what_is_known(value: float) -> None:
    slack = 1e-9 * max(1.0, value)
    assert read(at_least_seconds(value)) <= value + slack
    assert read(at_most_seconds(value)) >= value - slack
    assert read(about(value)) >= value - slack
    half_of_the_last_digit = 0.051 if value >= 0.0995 else 0.0006
    assert read(seconds(value)) == pytest.approx(value, rel=0.1, abs=half_of_the_last_digit)


@given(ALL_SECONDS, ALL_SECONDS)
def test_both_ends_contain_what_is_between(one: float, other: float) -> None:
    low, high = sorted((one, other))
    said_low, said_high = between(Interval(low, high)).split(" to ")
    assert read(said_low) <= low + 1e-6
    assert read(said_high) >= high - 1e-6


def test_times_and_numbers_as_people_say_them() -> None:
    assert [seconds(value) for value in (0.0123, 1.24, 100.0, 599.0, 600.0, inf)] == [
        "12 ms", "1.2 s", "100 s", "599 s", "10 min", "an unknown time",
    ]  # fmt: skip
    assert between(Interval(2.0, inf)) == "at least 2.0 s"
    assert about(inf) == "not known"
    assert [counted(number, "watch", "watches") for number in (0, 1, 2)] == ["no watches", "1 watch", "2 watches"]
