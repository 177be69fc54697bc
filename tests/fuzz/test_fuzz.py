"""Ten thousand inputs for each target of `make fuzz`, the same ones each time."""

import pytest

from tests.fuzz.run import run
from tests.fuzz.targets import Target, targets

INPUTS = 10_000
SEED = 12


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_no_mutated_input_breaks_a_law(target: Target) -> None:
    assert not run(target, SEED, INPUTS).findings
