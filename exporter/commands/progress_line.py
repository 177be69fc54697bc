"""A line on stderr that says how far a command is: written anew each second on a terminal, otherwise every ten."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Self, TextIO

from exporter.commands.text_table import width_of

if TYPE_CHECKING:
    from collections.abc import Callable

TERMINAL_PERIOD_SECONDS = 1.0
PLAIN_PERIOD_SECONDS = 10.0
CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """`with ProgressLine(sys.stderr) as line: ... line.say("reading", lambda: "12 %")`; call it as often as you like.

    What is said first of a new phase is written at once, unless that is within the silent seconds. On a terminal the
    line is gone when the block is left.
    """

    def __init__(self, stream: TextIO, silent_seconds: float = 0.0) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._period_seconds = TERMINAL_PERIOD_SECONDS if self._is_terminal else PLAIN_PERIOD_SECONDS
        self._phase = ""
        self._due = 0.0
        self._silent_until = time.monotonic() + silent_seconds

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

    def say(self, phase: str, text: Callable[[], str]) -> None:
        """Write the text if it is time for it."""
        now = time.monotonic()
        if now < self._silent_until or (phase == self._phase and now < self._due):
            return
        self._phase, self._due = phase, now + self._period_seconds
        line = " ".join(text().split())
        width = width_of(self._stream)
        if width is not None:
            # What the terminal breaks into two lines is not overwritten as one.
            line = textwrap.shorten(line, max(width - 1, 10), placeholder=" ...")
        self._stream.write(f"{CLEAR_LINE}{line}" if self._is_terminal else f"{line}\n")
        self._stream.flush()
