"""One judged event as the exporter's process tells it to ours: a frozen value, a line of JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Self

from exporter.measure.times import Instant, Interval


@dataclass(frozen=True, slots=True)
class Observation:
    """What the exporter judged of one event, and what simpler methods would have said; all times are monotonic."""

    resource: str
    revision: int
    judged_at: float
    state: str
    """The resource's SLO state just after this judgement."""
    verdict: str
    commit: Interval
    arrival: Interval
    latency: Interval
    polled_commit: Interval
    """The commit as the revision clock alone dates it."""
    since_stamp_seconds: float | None
    """now - managedFields.time, by the exporter's wall clock at the arrival; None without a stamp."""

    def by(self, clock: Callable[[Instant], Instant]) -> Self:
        """The same with all instants as another clock shows them."""

        def moved(interval: Interval) -> Interval:
            return Interval(clock(interval.earliest), clock(interval.latest))

        return replace(
            self,
            judged_at=clock(self.judged_at),
            commit=moved(self.commit),
            arrival=moved(self.arrival),
            polled_commit=moved(self.polled_commit),
        )

    def line(self) -> str:
        """As JSON, with Python's Infinity."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str | bytes) -> Self:
        """What `line` gave."""
        fields = json.loads(line)
        for name in ("commit", "arrival", "latency", "polled_commit"):
            fields[name] = Interval(*fields[name])
        return cls(**fields)
