"""What counts as flat, and that the soak itself runs."""

import math
from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.churn import PERIOD_SECONDS
from tests.soak.run import Soak, soak
from tests.soak.samples import COUNTED, QUANTITIES, Sample, trend
from tests.speed.processes import MEBIBYTE

RESIDENT = QUANTITIES[0]
FULL_RUN = 360


def samples(*resident_mebibytes: float) -> list[Sample]:
    return [
        Sample(10.0 * number, int(size * MEBIBYTE), descriptors=100, threads=5, tasks=150, series=4000)
        for number, size in enumerate(resident_mebibytes)
    ]


def test_what_goes_up_and_down_or_grew_at_the_start_only_is_flat() -> None:
    tides = samples(*(80 + 40 * (number % 12) / 12 for number in range(FULL_RUN)))
    warmed_up = samples(*(80 - 30 * math.exp(-number / 30) for number in range(FULL_RUN)))
    outliers = samples(*(300 if number % 50 == 0 else 80 for number in range(FULL_RUN)))
    for taken in (tides, tides[:49], warmed_up, outliers):
        assert trend(RESIDENT, taken, PERIOD_SECONDS).is_flat
    assert all(trend(quantity, tides, PERIOD_SECONDS).is_flat for quantity in QUANTITIES)


@pytest.mark.parametrize("leak_per_minute", [0.2, 2.0])
def test_what_grows_is_not_flat_however_it_goes_up_and_down(leak_per_minute: float) -> None:
    grows = samples(*(80 + 40 * (number % 12) / 12 + leak_per_minute * number / 6 for number in range(FULL_RUN)))
    found = trend(RESIDENT, grows, PERIOD_SECONDS)
    assert not found.is_flat
    assert found.per_hour == pytest.approx(60 * leak_per_minute, rel=0.05)


def test_the_page_says_what_grew_and_what_did_not() -> None:
    taken = samples(*(80 + number / 6 for number in range(FULL_RUN)))
    held = Soak(60, taken, [dict.fromkeys(COUNTED, float(number)) for number in range(FULL_RUN)], exit_code=0)
    assert held.faults == ["resident memory, MiB grew by 28.0"]
    text = report.page(held)
    assert "Made by `make soak`" in text
    assert "| resident memory, MiB | 108.9 | 136.9 | +28.0 | 5.4 | +60.0 | **no** |" in text
    assert "| threads | 5.0 | 5.0 | +0.0 | 2.0 | +0.0 | yes |" in text


async def test_a_short_soak_meets_those_that_a_long_one_does(server_binaries: Path, tmp_path: Path) -> None:
    result = await soak(server_binaries, tmp_path, 0.5)
    assert result.exit_code == 0
    assert result.samples
    assert {"configmap", "cut", "objects written"} <= result.churn.keys()
    for name in ("scraper with gzip", "scraper without gzip", "reader of pages"):
        assert result.answers[name, "200"]
    assert ("guess of a password", "200") not in result.answers
    assert result.answers["talk nonsense", "visits"]
