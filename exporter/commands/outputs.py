"""Standard output and standard error in any condition: closed, full, or with an encoding that lacks a letter.

A command's result is what it writes to stdout. If that cannot be written, the command has failed, whatever the result
was, and its exit code must not look like a verdict. Writing to stderr is best effort.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD_DESCRIPTORS = (0, 1, 2)


class CannotWriteError(Exception):
    """One sentence for the user. It is not an OSError, because the commands handle OSErrors of their own."""


class ReaderGoneError(Exception):
    """Nobody reads stdout any more."""


class Output:
    """A stream to print to, which says what it cannot write in a sentence. `stream` is None if it was closed."""

    def __init__(self, name: str, stream: TextIO | None) -> None:
        self._name = name
        self._stream = stream
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def expect_open(self) -> None:
        """Raise CannotWriteError if it was closed before we began."""
        if self._stream is None:
            raise CannotWriteError(f"cannot write to {self._name}: it is closed")

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write as any text stream does. Raises CannotWriteError or ReaderGoneError."""
        return self._tried(lambda stream: stream.write(text)) or 0

    def flush(self) -> None:
        """Hand over what is written. Raises CannotWriteError or ReaderGoneError."""
        if self._stream is not None:
            self._tried(lambda stream: stream.flush())

    def _tried(self, act: Callable[[TextIO], int | None]) -> int | None:
        self.expect_open()
        assert self._stream is not None
        try:
            return act(self._stream)
        except BrokenPipeError:
            raise ReaderGoneError from None
        except OSError as error:
            raise CannotWriteError(f"cannot write to {self._name}: {error.strerror or error}") from None


def keep_standard_descriptors() -> None:
    """Open the closed ones to /dev/null: otherwise the next socket would get their number, and output would go
    there.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stderr is None:
        # Whoever closes it wants to hear nothing.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 for as long as the process lives


def say_error(sentence: str) -> None:
    """Print the error; where that is not possible, the exit code tells."""
    with suppress(OSError, ValueError):
        print(f"watchslo: error: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 the command line's last word


def give_up_what_is_unwritten() -> None:
    """The interpreter flushes both streams once more when it ends, and would complain and change the exit code."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        except ValueError:
            pass  # closed by now
