import time
from email.utils import parsedate_to_datetime

import pytest

from exporter.simulator.clock import WallClock

NOISE_SECONDS = 0.5


def test_offset_moves_the_clock() -> None:
    clock = WallClock(offset_seconds=-3600.0)
    assert clock.now_seconds() - time.time() == pytest.approx(-3600.0, abs=NOISE_SECONDS)


def test_drift_grows_with_time() -> None:
    clock = WallClock(drift_ratio=100.0)
    time.sleep(0.05)
    assert clock.offset_seconds >= 5.0


def test_changed_drift_keeps_the_offset_of_the_moment() -> None:
    clock = WallClock(drift_ratio=1000.0)
    time.sleep(0.01)
    earlier_seconds = clock.offset_seconds
    clock.drift_ratio = 0.0
    kept_seconds = clock.offset_seconds
    assert kept_seconds >= earlier_seconds >= 10.0
    time.sleep(0.01)
    assert clock.offset_seconds == kept_seconds


def test_step_sets_the_offset() -> None:
    clock = WallClock(offset_seconds=5.0)
    clock.offset_seconds -= 7.0
    assert clock.offset_seconds == pytest.approx(-2.0)


def test_texts_are_cut_to_the_second_and_never_rounded() -> None:
    clock = WallClock(offset_seconds=0.999 - time.time() % 1)  # to just before the next second of its own
    before_seconds = clock.now_seconds()
    date = parsedate_to_datetime(clock.http_date()).timestamp()
    after_seconds = clock.now_seconds()
    assert int(before_seconds) <= date <= int(after_seconds)


def test_timestamp_may_lie_ahead() -> None:
    clock = WallClock(offset_seconds=-time.time() + 1000.5)
    assert clock.timestamp() == "1970-01-01T00:16:40Z"
    assert clock.timestamp(plus_seconds=30) == "1970-01-01T00:17:10Z"
