"""What code does, counted instead of timed: every machine counts the same."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

NOT_COUNTED = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))
"""The tests themselves, and the event loop, whose turns are the machine's."""


@contextmanager
def without_garbage() -> Iterator[None]:
    """What others have left behind is collected before, and nothing meanwhile: its finalizers are no work of ours."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Work:
    """What is done while `counting()`: functions called, of Python's and of C's, and lines of Python executed."""

    def __init__(self) -> None:
        self.calls = 0
        self.lines = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Whoever traces already, such as a debugger, gets its turn again afterwards."""
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
