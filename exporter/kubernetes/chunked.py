"""Decodes a body in chunked transfer coding. The content does not depend on how the bytes are split into reads.

aiohttp can do that too, but needs several calls per chunk, and an apiserver sends each event as a chunk: that was a
quarter of the cost of an event (docs/decisions/0009).
"""

from __future__ import annotations

from functools import lru_cache

CRLF = b"\r\n"

LONGEST_SIZE_LINE_BYTES = 1024
"""A size has a few digits; chunk extensions, which are rarely used, may follow it."""

HEX_DIGITS = b"0123456789abcdefABCDEF"
MOST_SIZE_DIGITS = 16
"""The digits of a 64-bit number."""


class ChunkedBodyError(Exception):
    """The bytes are not valid chunked transfer coding."""


class ChunkedBody:
    """One body (RFC 9112, 7.1), starting at the size line of a chunk. Trailers are not read."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last chunk or something invalid was received; everything after it is ignored."""
        self.rest = b""
        """Once it is over: what follows it in the last piece that was fed."""
        self._size_line = b""
        self._left = 0
        """Missing bytes of the current chunk."""
        self._ending = b""
        """Missing bytes of the CRLF after the chunk."""

    def feed(self, data: bytes) -> list[bytes]:
        """The content in `data`: chunks or parts of them. Raises ChunkedBodyError; later calls then return nothing."""
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
                # A longer line is not kept, not even as a key of the cache.
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
    """The size in a chunk's size line; None if it is invalid. Cached, because events of a kind have few sizes."""
    # int() alone also accepts signs, 0x, underscores and spaces, which a proxy may interpret differently.
    digits, has_extension, _ = line.partition(b";")
    if has_extension:
        digits = digits.rstrip(b" \t")
    if not digits or len(digits) > MOST_SIZE_DIGITS or digits.strip(HEX_DIGITS):
        return None
    return int(digits, 16)
