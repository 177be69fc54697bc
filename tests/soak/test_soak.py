"""What counts as flat, and that the soak itself runs."""

import math
from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.churn import PERIOD_SECONDS
from tests.soak.run import soak
from tests.soak.samples import QUANTITIES, Sample, trend
from tests.speed.processes import MEBIBYTE

RESIDENT = QUANTITIES[0]
FULL_RUN = 360


def samples(*resident_mebibytes: float) -> list[Sample]:
    return [
        Sample(10.0 * number, int(size * MEBIBYTE), descriptors=100, threads=5, series=4000)
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


async def test_a_short_soak_meets_everything_that_a_long_one_does(server_binaries: Path, tmp_path: Path) -> None:
    result = await soak(server_binaries, tmp_path, 0.7)
    assert result.exit_code == 0
    assert len(result.samples) >= 4
    assert {"configmap", "definition", "cut", "write token", "objects written"} <= result.churn.keys()
    for name in ("scraper with gzip", "scraper without gzip", "reader of pages"):
        assert result.answers[name, "200"]
    assert result.answers["guess of a password", "401"]
    assert ("guess of a password", "200") not in result.answers
    assert result.answers["talk nonsense", "visits"]
    assert "open descriptors" in report.page(result)
