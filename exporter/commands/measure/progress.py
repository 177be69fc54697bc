"""What `measure` says on stderr while it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from exporter.commands.progress_line import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Collection

    from exporter.commands.measure.tally import Tally


class Progress(ProgressLine):
    """`with Progress(sys.stderr, 60) as progress: ... progress.measuring(12.0, tallies)`."""

    def __init__(self, stream: TextIO, duration_seconds: float) -> None:
        super().__init__(stream)
        self._duration_seconds = duration_seconds

    def waiting(self, reasons: list[str]) -> None:
        """Not all streams are up; a sentence for each that is not."""
        self.say("waiting", lambda: f"waiting for the streams: {'; '.join(reasons) or 'no revision clock yet'}")

    def measuring(self, elapsed_seconds: float, tallies: Collection[Tally]) -> None:
        """Seconds since all streams were up, and what was judged since then."""

        def counts() -> str:
            events, late = sum(tally.events for tally in tallies), sum(tally.late for tally in tallies)
            ambiguous = sum(tally.ambiguous for tally in tallies)
            return (
                f"{elapsed_seconds:.0f} of {self._duration_seconds:g} s: {events} events, {late} late, "
                f"{ambiguous} ambiguous"
            )

        self.say("measuring", counts)

    def settling(self) -> None:
        """The duration is over; events are still pending."""
        self.say("settling", lambda: "waiting for the last verdicts")
