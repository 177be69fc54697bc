"""The wall clock of a simulated apiserver, and the Dates of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from exporter.measure.serverclock import DatedAnswer

DRIFT = 500e-6
"""What the exporter allows for, in seconds per second."""

ROUNDING_SECONDS = 2e-6
"""Wall-clock times are about 1.8e9 s: a float resolves a quarter of a microsecond there."""

SEGMENT_SECONDS = 100.0


@dataclass(frozen=True)
class WanderingClock:
    """Ahead of our clock by `offset` at our 0; then it slews by each of `rates` for a while, by the last for ever."""

    offset: float
    rates: Sequence[float] = (0.0,)

    def ahead(self, instant: float) -> float:
        slewed, rest = 0.0, instant
        for rate in self.rates[:-1]:
            slewed += rate * min(SEGMENT_SECONDS, rest)
            rest -= min(SEGMENT_SECONDS, rest)
        return self.offset + slewed + self.rates[-1] * rest

    def shows(self, instant: float) -> float:
        return instant + self.ahead(instant)

    def date(self, instant: float) -> float:
        return float(floor(self.shows(instant)))


class Exchange(NamedTuple):
    """A poll: sent after a pause, on its way there, being answered, on its way back (seconds each)."""

    pause: float
    out: float
    back: float


def answered_by(
    clock: WanderingClock, exchanges: Sequence[Exchange], start: float = 0.0
) -> list[tuple[float, DatedAnswer]]:
    """When the headers of each answer were written, and what we see of it; in the order in which they reach us."""
    answers: list[tuple[float, DatedAnswer]] = []
    t0 = start
    for pause, out, back in exchanges:
        t0 += pause
        written = t0 + out
        answers.append((written, DatedAnswer(t0, written + back, clock.date(written))))
    return sorted(answers, key=lambda answer: answer[1].t1)


def steady(count: int, *, every: float = 0.2, one_way: float = 0.002) -> list[Exchange]:
    """Prompt polls, jittered as the exporter's are: their phases against the server's seconds vary."""
    jitter = Random(count)
    return [Exchange(every * jitter.uniform(0.7, 1.3), one_way, one_way) for _ in range(count)]


OFFSETS = st.floats(1.6e9, 2.0e9)
RATES = st.lists(st.one_of(st.sampled_from([-DRIFT, 0.0, DRIFT]), st.floats(-DRIFT, DRIFT)), min_size=1, max_size=4)
CLOCKS = st.builds(WanderingClock, OFFSETS, RATES)

DELAYS = st.one_of(st.floats(0.0005, 0.02), st.floats(0.0005, 6.0))
EXCHANGES = st.lists(
    st.builds(Exchange, st.one_of(st.floats(0.0, 0.5), st.floats(0.0, 120.0)), DELAYS, DELAYS), max_size=25
)
