"""Shows the progress as a line on stderr: rewritten each second on a terminal, otherwise a new one every ten."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Self, TextIO

from exporter.commands.text_table import width_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from exporter.commands.measure.tally import Tally

TERMINAL_PERIOD_SECONDS = 1.0
PLAIN_PERIOD_SECONDS = 10.0
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """`with Progress(sys.stderr, 60) as progress: ... progress.measuring(12.0, tallies)`; call it as often as you like.

    What is said first of a new phase is written at once. On a terminal the line is gone when the block is left.
    """

    def __init__(self, stream: TextIO, duration_seconds: float) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._period_seconds = TERMINAL_PERIOD_SECONDS if self._is_terminal else PLAIN_PERIOD_SECONDS
        self._duration_seconds = duration_seconds
        self._phase = ""
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()

    def advise(self, sentence: str) -> None:
        """Print a warning that stays."""
        self._stream.write(f"{CLEAR_LINE if self._is_terminal else ''}watchslo: warning: {sentence}\n")
        self._stream.flush()
        self._due = 0.0

    def waiting(self, reasons: list[str]) -> None:
        """Not all streams are up; a sentence for each that is not."""
        self._say("waiting", f"waiting for the streams: {'; '.join(reasons) or 'no revision clock yet'}")

    def measuring(self, elapsed_seconds: float, tallies: Collection[Tally]) -> None:
        """Seconds since all streams were up, and what was judged since then."""
        events, late = sum(tally.events for tally in tallies), sum(tally.late for tally in tallies)
        ambiguous = sum(tally.ambiguous for tally in tallies)
        counts = f"{events} events, {late} late, {ambiguous} ambiguous"
        self._say("measuring", f"{elapsed_seconds:.0f} of {self._duration_seconds:g} s: {counts}")

    def settling(self) -> None:
        """The duration is over; events are still pending."""
        self._say("settling", "waiting for the last verdicts")

    def _say(self, phase: str, text: str) -> None:
        now = time.monotonic()
        if phase == self._phase and now < self._due:
            return
        self._phase, self._due = phase, now + self._period_seconds
        text = " ".join(text.split())
        width = width_of(self._stream)
        if width is not None:
            # What the terminal breaks into two lines is not overwritten as one.
            text = textwrap.shorten(text, max(width - 1, 10), placeholder=" ...")
        self._stream.write(f"{CLEAR_LINE}{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()
