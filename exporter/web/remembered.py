"""Remembers what was decided about a secret, and never the secret."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import Generic, TypeVar

MOST_REMEMBERED = 100

Decision = TypeVar("Decision")


class Remembered(Generic[Decision]):
    """Decisions by digest. Each process has a key of its own: no list of digests fits, and nobody can make two meet."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        # Apart, so that strangers who guess push out nobody who was admitted.
        self.admitted: OrderedDict[bytes, Decision] = OrderedDict()
        self.refused: OrderedDict[bytes, Decision] = OrderedDict()

    def __len__(self) -> int:
        return len(self.admitted) + len(self.refused)

    def digest(self, *words: str) -> bytes:
        """Of words whose lengths count too."""
        together = "".join(f"{len(word)}:{word}" for word in words)
        return hashlib.blake2b(together.encode(), key=self._key, digest_size=32).digest()

    def get(self, digest: bytes) -> Decision | None:
        """The last decision; None if there is none, or none any more."""
        return self.admitted.get(digest, self.refused.get(digest))

    def put(self, digest: bytes, decision: Decision, *, is_admitted: bool) -> None:
        """Remember it instead of the one before; of too many the oldest of its kind is forgotten."""
        for known in (self.admitted, self.refused):
            known.pop(digest, None)
        known = self.admitted if is_admitted else self.refused
        known[digest] = decision
        if len(known) > MOST_REMEMBERED:
            known.popitem(last=False)
