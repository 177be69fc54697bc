"""The canaries of one stream, counted: in time as they come, late when they are given up for lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.measure.stream_state import CanaryTrouble

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.measure.arrivals import Arrivals
    from exporter.measure.canaries import Canaries, Canary
    from exporter.measure.events import Event
    from exporter.measure.stream_state import StreamCounts
    from exporter.measure.times import Instant, Interval, WallTime
    from exporter.measure.window import Window


class AwaitedCanaries:
    """What a stream owes us of our own writes, from when its watch is open until it is refused for good."""

    def __init__(
        self, canaries: Canaries, counts: StreamCounts, window: Window, arrivals: Arrivals, now: Instant
    ) -> None:
        self.canaries = canaries
        self._counts = counts
        self._window = window
        self._arrivals = arrivals
        self.unanswered_since: Instant | None = None
        """When the write was sent that this apiserver has not answered."""
        self.trouble: CanaryTrouble | None = None
        """The last one, of those that were written through here or lost here."""
        self._are_expected = False
        self._awaited_until = now

    def opened(self, listed_revision: int) -> None:
        """A watch is open that delivers what is newer."""
        self._are_expected = True
        self.canaries.passed_over(listed_revision)

    def refused(self) -> None:
        """No watch will open, unless somebody changes something."""
        self._are_expected = False
        self.canaries.forget()

    def sending(self, at: Instant | None = None) -> None:
        """A write to an object of ours goes out that this stream should deliver; `at` if it goes to this apiserver."""
        self.unanswered_since = at
        if self._are_expected:
            self.canaries.sending()

    def answered(self, canary: Canary | None, wall: WallTime) -> None:
        """That write was answered with success, or None: it was not, and nothing is to be expected."""
        if canary is None and self.unanswered_since is not None:
            self.trouble = CanaryTrouble("failed", wall)
        self.unanswered_since = None
        if self._are_expected:
            self._count(self.canaries.answered(canary))

    def arrived(self, events: Iterable[Event], instant: Instant) -> None:
        """They came together."""
        if self.canaries.wants_arrivals:
            for event in events:
                if event.revision is not None:
                    self._count(self.canaries.arrived(event.revision, instant))

    def lose(self, now: Instant, wall: WallTime) -> list[Interval]:
        """Let the time run, as far as it is not ours. The latencies of the canaries that are lost now, and are late."""
        lost: list[Interval] = []
        since, until = self._awaited_until, self._arrivals.not_before
        self._awaited_until = max(since, until)
        for waited in self._arrivals.kept_up(since, until):
            lost += self.canaries.waited(*waited)
        for latency in lost:
            self.trouble = CanaryTrouble("lost", wall)
            self._counts.canaries_lost += 1
            self._counts.judged["late"] += 1
            self._window.judged(now, latency, "late")
        return lost

    def _count(self, seconds: float | None) -> None:
        if seconds is not None:
            self._counts.canary_delivery.observe(max(0.0, seconds))
