"""What really happened to a store: when each revision was committed, and what polls of it are answered with."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from hypothesis import strategies as st

from exporter.measure.revisions import RevisionClock, WentBack
from tests.measure.drawing import seconds, ticking


@dataclass(frozen=True)
class History:
    """The store commits revision 1 at `commits[0]`, revision 2 at `commits[1]`, and so on."""

    commits: tuple[float, ...]

    def revision_at(self, instant: float) -> int:
        return bisect_right(self.commits, instant)

    def committed(self, revision: int) -> float:
        return self.commits[revision - 1]

    @property
    def revisions(self) -> range:
        return range(1, len(self.commits) + 1)


class Poll(NamedTuple):
    """Sent at t0, answered at t1 with the revision that the store had at some moment between the two."""

    number: int
    t0: float
    t1: float
    revision: int


class Arrival(NamedTuple):
    revision: int
    instant: float


def polls_of(history: History) -> st.SearchStrategy[list[Poll]]:
    """Polls with any delay each way."""

    def polls(drawn: list[tuple[float, float, float]]) -> list[Poll]:
        return [
            Poll(number, t0, t0 + out + back, history.revision_at(t0 + out))
            for number, (t0, out, back) in enumerate(drawn)
        ]

    return st.lists(st.tuples(seconds(30), seconds(5), seconds(5)), max_size=25).map(polls)


def arrivals_of(history: History) -> st.SearchStrategy[list[Arrival]]:
    """Any of the revisions, each at any time after its commit."""
    if not history.commits:
        return st.just([])
    arrival = st.tuples(st.sampled_from(history.revisions), seconds(5)).map(
        lambda drawn: Arrival(drawn[0], history.committed(drawn[0]) + drawn[1])
    )
    return st.lists(arrival, max_size=10)


HISTORIES = ticking(most_apart=3, most=20).map(History)


def tell(clock: RevisionClock, said: Poll | Arrival) -> WentBack | None:
    """Hand in what was learned; a poll's sending and its answer together."""
    if isinstance(said, Arrival):
        clock.arrived(said.revision, said.instant)
        return None
    clock.poll_sent(said.number, said.t0)
    return clock.poll_answered(said.number, said.t1, said.revision)
