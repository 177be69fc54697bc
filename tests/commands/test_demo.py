"""What the demo's table shows of the P99."""

from math import inf

import pytest
from msgspec.structs import replace

from exporter.commands.demo import COLUMNS, SINCE_START_FROM, measured_p99
from exporter.measure.window import EMPTY
from exporter.vocabulary import SloState


@pytest.mark.parametrize(
    ("state", "lower", "upper", "shown"),
    [
        ("quiet", None, None, "measuring"),
        ("quiet", 0.0, inf, "measuring"),
        ("quiet", 0.0, 0.25, "0.000 s to 0.250 s"),
        ("met", 0.0, 0.25, "0.000 s to 0.250 s"),
        ("unknown", 0.0, inf, "0.000 s to no limit"),
        ("violated", 2.0, inf, "2.000 s to no limit"),
    ],
)
def test_the_first_seconds_are_no_result_yet(
    state: SloState, lower: float | None, upper: float | None, shown: str
) -> None:
    assert measured_p99(replace(EMPTY, state=state, p99_lower_seconds=lower, p99_upper_seconds=upper)) == shown


def test_what_counts_since_the_start_stands_together_and_last() -> None:
    assert COLUMNS[COLUMNS.index(SINCE_START_FROM) :] == ("on time", "late", "ambiguous", "forced closes", "relists")
