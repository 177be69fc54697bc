"""Times drawn in whole ticks of a power of two: sums and differences are exact, and a law may be tested with `==`."""

from itertools import accumulate

from hypothesis import strategies as st

TICKS_PER_SECOND = 1024
TICK_SECONDS = 1 / TICKS_PER_SECOND


def seconds(most: float, least: float = 0.0) -> st.SearchStrategy[float]:
    """A duration, or an instant on a clock that began at 0."""
    ticks = st.integers(round(least * TICKS_PER_SECOND), round(most * TICKS_PER_SECOND))
    return ticks.map(lambda drawn: drawn / TICKS_PER_SECOND)


def ticking(most_apart: float, most: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Strictly increasing instants, each up to `most_apart` seconds after the one before."""
    gaps = st.lists(seconds(most_apart, least=TICK_SECONDS), max_size=most)
    return gaps.map(lambda drawn: tuple(accumulate(drawn)))
