"""Write times in metadata and in annotations: read back as they were written, and never later."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measure.events import Stamps
from exporter.measure.write_times import Stamp, apiserver_stamps, parse_annotation, parse_rfc3339
from exporter.measure.write_times import rfc3339 as written

ROUNDING_SECONDS = 1e-6
"""A float resolves a quarter of a microsecond of the seconds since the epoch."""

NANOSECONDS = st.integers(10**17, 2**32 * 10**9 - 1)
"""Write times from 1973 to 2106, in nanoseconds: before that, a count of ms is read as one of s."""


@given(NANOSECONDS, st.integers(0, 9), st.sampled_from(["", "Z", "offset"]))
def test_an_annotation_in_rfc_3339(time_ns: int, digits: int, zone: str) -> None:
    offset = timezone(timedelta(hours=5, minutes=-30) if zone == "offset" else timedelta(0))
    text = f"{datetime.fromtimestamp(time_ns // 10**9, offset):%Y-%m-%dT%H:%M:%S}"
    if digits:
        text += f".{time_ns % 10**9:09}"[: digits + 1]
    text += "+04:30" if zone == "offset" else zone
    parsed = parse_annotation(text)
    if not zone:
        assert parsed is None
        return
    assert parsed is not None
    finest_seconds = max(10.0**-digits, 1e-6)
    assert time_ns / 1e9 - finest_seconds - ROUNDING_SECONDS <= parsed <= time_ns / 1e9 + ROUNDING_SECONDS


@given(NANOSECONDS, st.sampled_from([0, 3, 6, 9]), st.integers(0, 6), st.sampled_from(["", " ", "\n"]))
def test_an_annotation_in_unix_time_is_read_by_its_magnitude(
    time_ns: int, unit_digits: int, zeros: int, space: str
) -> None:
    text = "0" * zeros + str(time_ns // 10 ** (9 - unit_digits)) + space
    parsed = parse_annotation(text)
    assert parsed is not None
    finest_seconds = max(10.0**-unit_digits, 1e-6)
    assert time_ns / 1e9 - finest_seconds - ROUNDING_SECONDS <= parsed <= time_ns / 1e9 + ROUNDING_SECONDS


@given(NANOSECONDS, st.integers(0, 9))
def test_an_annotation_in_seconds_with_a_fraction(time_ns: int, digits: int) -> None:
    seconds, fraction = divmod(time_ns, 10**9)
    parsed = parse_annotation(f"{seconds}.{fraction:09}"[: len(str(seconds)) + 1 + digits])
    assert parsed is not None
    assert time_ns / 1e9 - 10.0**-digits - ROUNDING_SECONDS <= parsed <= time_ns / 1e9 + ROUNDING_SECONDS


@given(st.text(max_size=30) | st.from_regex(r"[0-9T:.+\-Z ]{0,40}", fullmatch=True))
def test_any_text_is_a_time_or_none(text: str) -> None:
    for parsed in (parse_annotation(text), parse_rfc3339(text)):
        assert parsed is None or -1e11 < parsed < 1e12


NO_NUMBERS = ["", " ", ".", ".5", "-5", "+5", "1e9", "1_000", "0x5f", "1.2.3", "1.-5", "\u0663\u0664"]
OUT_OF_RANGE = ["1" * 21, "9" * 5000, "2026-13-22T16:33:55Z", "2026-11-22T16:33:61Z"]
NO_MOMENTS = ["now", "2026-11-22", "2026-11-22T16:33:55", "\ud800Z"]


@pytest.mark.parametrize("garbage", NO_NUMBERS + OUT_OF_RANGE + NO_MOMENTS)
def test_garbage_is_no_time(garbage: str) -> None:
    assert parse_annotation(garbage) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("99999999999", 99_999_999_999),
        ("100000000000", 100_000_000),
        ("99999999999999", 99_999_999_999.999),
        ("100000000000000", 100_000_000),
        ("99999999999999999", 99_999_999_999.999999),
        ("100000000000000000", 100_000_000),
        ("99999999999999999999", 99_999_999_999.999999),
    ],
)
def test_the_magnitude_tells_the_unit(text: str, seconds: float) -> None:
    assert parse_annotation(text) == seconds


def test_leading_zeros_change_nothing() -> None:
    assert parse_annotation("0" * 50 + "1700000000123") == 1700000000.123
    assert parse_annotation("0") == 0.0


def test_what_is_longer_than_any_time_is_none() -> None:
    assert parse_annotation("1700000000." + "0" * 53) == 1700000000
    assert parse_annotation("1700000000." + "0" * 54) is None
    assert parse_annotation("2026-11-28T12:00:00." + "0" * 60 + "Z") is None


def rfc3339(time: float) -> str:
    return f"{datetime.fromtimestamp(int(time), UTC):%Y-%m-%dT%H:%M:%SZ}"


@given(st.floats(0, 4e9), st.floats(0, 4e9), st.integers(0, 86400))
def test_stamps_of_an_apiserver_are_never_later_than_the_write(
    stamped: float, deleted: float, grace_seconds: int
) -> None:
    stamps = apiserver_stamps(
        Stamps(
            managed_fields=rfc3339(stamped),
            deletion=rfc3339(deleted + grace_seconds),
            deletion_grace_seconds=grace_seconds,
        )
    )
    written = {"managed_fields": stamped, "deletion_timestamp": deleted}
    assert {stamp.source for stamp in stamps} == written.keys()
    for source, time in stamps:
        true_time = written[source]
        assert true_time - 1 - ROUNDING_SECONDS <= time <= true_time + ROUNDING_SECONDS


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15))
def test_stamps_that_are_written_compare_as_the_times_that_they_are(one: int, other: int) -> None:
    assert (written(one) <= written(other)) or one > other
    parsed = parse_rfc3339(written(one))
    assert parsed is None or parsed <= one, "a bound on stamps may be too old, never too new"


def test_each_stamp_has_its_name_and_what_is_no_time_is_left_out() -> None:
    stamps = Stamps(
        managed_fields="2026-11-22T16:33:54Z",
        creation="2026-11-22T16:33:55Z",
        deletion="2026-11-22T16:34:25Z",
        deletion_grace_seconds=30,
    )
    second = datetime(2026, 11, 22, 16, 33, 55, tzinfo=UTC).timestamp()
    assert apiserver_stamps(stamps) == [
        Stamp("managed_fields", second - 1),
        Stamp("creation_timestamp", second),
        Stamp("deletion_timestamp", second),
    ]
    assert apiserver_stamps(Stamps(managed_fields="never", creation="soon")) == []
    assert apiserver_stamps(Stamps()) == []
