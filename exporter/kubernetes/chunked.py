"""Bytes of a body in chunked transfer coding in, its content out. Any cut of the byte stream gives the same content.

aiohttp does that too, at the price of several calls per chunk, and an apiserver sends each event as a chunk of its own:
it was a quarter of all that an event costs (docs/decisions/0009).
"""

from __future__ import annotations

from functools import lru_cache

CRLF = b"\r\n"

LONGEST_SIZE_LINE_BYTES = 1024
"""A size has a few digits; extensions, which nobody sends, may follow it."""

HEX_DIGITS = b"0123456789abcdefABCDEF"
MOST_SIZE_DIGITS = 16
"""As many as 64 bits take."""


class ChunkedBodyError(Exception):
    """What came is not in chunked transfer coding."""


class ChunkedBody:
    """One body (RFC 9112, 7.1), begun at the size line of a chunk. Trailers are not read."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last chunk is here, or something that is no chunk; what follows is ignored."""
        self.rest = b""
        """Once it is over: what is behind it, of the last piece that came."""
        self._size_line = b""
        self._left = 0
        """Bytes of the present chunk that have not come."""
        self._ending = b""
        """What has not come of the CRLF after it."""

    def feed(self, data: bytes) -> list[bytes]:
        """The content in `data`, by chunks or what there is of them. Raises ChunkedBodyError, and then says no more."""
        if self._size_line:
            data, self._size_line = self._size_line + data, b""
        content: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.is_over:
            if not self._ending:
                ends = data.find(CRLF, at, at + LONGEST_SIZE_LINE_BYTES + len(CRLF))
                if ends < 0:
                    if end - at >= LONGEST_SIZE_LINE_BYTES + len(CRLF):
                        raise self._error("the size of a chunk has no end")
                    self._size_line = data[at:]
                    break
                # What is longer is not kept, not even as the key of a cache.
                size_bytes = _size_bytes(data[at:ends]) if ends - at <= LONGEST_SIZE_LINE_BYTES else None
                if size_bytes is None:
                    raise self._error(f"a chunk's size is {data[at:ends][:20]!r}")
                self._left = size_bytes
                self._ending = CRLF
                self.is_over = not self._left
                at = ends + len(CRLF)
            if self._left and at < end:
                piece = data[at : at + self._left]
                content.append(piece)
                self._left -= len(piece)
                at += len(piece)
            if not self._left and not self.is_over:
                came = data[at : at + len(self._ending)]
                if not self._ending.startswith(came):
                    raise self._error(f"a chunk is followed by {came!r}")
                self._ending = self._ending[len(came) :]
                at += len(came)
        self.rest = data[at:]
        return content

    def _error(self, what: str) -> ChunkedBodyError:
        self.is_over = True
        return ChunkedBodyError(what)


@lru_cache(maxsize=1024)
def _size_bytes(line: bytes) -> int | None:
    """The size in a chunk's first line; None if it is none. Events of a kind have few sizes: cached."""
    # By hand: int() takes a sign, 0x, underscores and spaces, and whoever stands between might read them otherwise.
    digits, has_extension, _ = line.partition(b";")
    if has_extension:
        digits = digits.rstrip(b" \t")
    if not digits or len(digits) > MOST_SIZE_DIGITS or digits.strip(HEX_DIGITS):
        return None
    return int(digits, 16)
