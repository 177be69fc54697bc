"""Divides the watches among several exporters, by hashes of names: the exporters need not communicate."""

import re
import socket
from hashlib import blake2b
from typing import Self

import msgspec

_SHARD = re.compile(r"(?P<index>[0-9]{1,4}|auto)/(?P<count>[0-9]{1,4})")
_ORDINAL = re.compile(r".*-(?P<ordinal>[0-9]{1,4})")


class Shard(msgspec.Struct, frozen=True):
    """Number `index`, from 0, of `count` exporters."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `index/count`, or `auto/count` on a Pod of a StatefulSet; raises ValueError."""
        match = _SHARD.fullmatch(text)
        if not match:
            raise ValueError("is not a shard: write index/count, as in 0/3, or auto/count in a StatefulSet")
        index = _ordinal() if match["index"] == "auto" else int(match["index"])
        count = int(match["count"])
        if index >= count:
            raise ValueError(f"is not a shard: number {index} is not among {count}, which begin with 0")
        return cls(index, count)

    def owns(self, *names: str) -> bool:
        """Whether what these names name falls to this shard: to exactly one of all.

        Each shard draws a number for the names, and the highest wins (rendezvous hashing): one shard more takes over
        its own part and moves nothing else.
        """
        return self.index == max(range(self.count), key=lambda index: _drawn(index, names))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


ALL = Shard(0, 1)


def _drawn(index: int, names: tuple[str, ...]) -> bytes:
    return blake2b("\0".join((str(index), *names)).encode(), digest_size=8).digest()


def _ordinal() -> int:
    """The number at the end of a StatefulSet's Pod's name, which is its host name."""
    host = socket.gethostname()
    match = _ORDINAL.fullmatch(host)
    if not match:
        raise ValueError(f'needs the Pod of a StatefulSet: the host name "{host}" does not end with a number')
    return int(match["ordinal"])
