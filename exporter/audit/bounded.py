"""Memory that forgets what was not used for longest, so that nobody can fill it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")


class Lately(Generic[Key, Value]):
    """The values used last: of more than `most` the half that was not used for longest is forgotten at once."""

    def __init__(self, most: int) -> None:
        self._most_lately = max(most // 2, 1)
        self._lately: dict[Key, Value] = {}
        self._earlier: dict[Key, Value] = {}
        self.forgotten = 0

    def get(self, key: Key) -> Value | None:
        """The value, which counts as used; None if there is none."""
        found = self._lately.get(key)
        if found is None and (found := self._earlier.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def get_or(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value, or a new one that is kept."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Keep a new value."""
        if len(self._lately) >= self._most_lately:
            self.forgotten += len(self._earlier)
            self._lately, self._earlier = {}, self._lately
        self._lately[key] = value

    def pop(self, key: Key) -> Value | None:
        """The value, which is not kept any longer."""
        found = self._lately.pop(key, None)
        return self._earlier.pop(key, None) if found is None else found

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All that is known, by key."""
        yield from self._lately.items()
        yield from self._earlier.items()

    def values(self) -> Iterator[Value]:
        """All that is known."""
        return (value for _, value in self.items())

    def __len__(self) -> int:
        return len(self._lately) + len(self._earlier)
