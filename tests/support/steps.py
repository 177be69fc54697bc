"""What is made in steps, between which an event loop may run."""

from collections.abc import Generator
from typing import TypeVar

_Value = TypeVar("_Value")


def at_once(steps: Generator[None, None, _Value]) -> _Value:
    """What all of them come to, without pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as over:
            value: _Value = over.value
            return value
