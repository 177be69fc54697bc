"""Counts the work of code instead of timing it: the counts are the same on every machine."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

NOT_COUNTED = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))
"""Not counted: the tests, and the event loop, whose iterations depend on the machine."""


@contextmanager
def without_garbage() -> Iterator[None]:
    """Collect garbage before the block, and none within it: finalizers of other objects are not our work."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Work:
    """Counts within `counting()`: calls of Python and C functions, and executed lines of Python."""

    def __init__(self) -> None:
        self.calls = 0
        self.lines = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count within the block. An existing tracer, such as a debugger, is restored afterwards."""
        before = sys.gettrace(), sys.getprofile()
        with without_garbage():
            sys.setprofile(self._called)
            sys.settrace(self._entered)
            try:
                yield
            finally:
                sys.settrace(before[0])
                sys.setprofile(before[1])

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        if event in {"call", "c_call"} and not _is_left_out(frame):
            self.calls += 1

    def _entered(self, frame: FrameType, _event: str, _: Any) -> Callable[..., Any] | None:
        return None if _is_left_out(frame) else self._stepped

    def _stepped(self, _frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            self.lines += 1
        return self._stepped


def _is_left_out(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(NOT_COUNTED)
