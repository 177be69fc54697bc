"""Bytes of a body in chunked transfer coding in, its content out. Any cut of the byte stream gives the same content.

aiohttp does that too, at the price of several calls per chunk, and an apiserver sends each event as a chunk of its own:
it was a quarter of all that an event costs (docs/decisions/0009).
"""

from __future__ import annotations

CRLF = b"\r\n"

LONGEST_SIZE_LINE_BYTES = 1024
"""A size has a few digits; extensions, which nobody sends, may follow it."""


class ChunkedBodyError(Exception):
    """What came is not in chunked transfer coding."""


class ChunkedBody:
    """One body (RFC 9112, 7.1), begun at the size line of a chunk. Trailers are not read."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last chunk is here, or something that is no chunk; what follows is ignored."""
        self._size_line = b""
        self._left = 0
        """Bytes of the present chunk that have not come, with the CRLF after it."""

    def feed(self, data: bytes) -> list[bytes]:
        """The content in `data`, by chunks or what there is of them. Raises ChunkedBodyError, and then says no more."""
        if self._size_line:
            data, self._size_line = self._size_line + data, b""
        content: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.is_over:
            if not self._left:
                ends = data.find(CRLF, at)
                if ends < 0:
                    self._size_line = data[at:]
                    if len(self._size_line) > LONGEST_SIZE_LINE_BYTES:
                        self.is_over = True
                        raise ChunkedBodyError("the size of a chunk has no end")
                    break
                self.is_over = True  # unless a size stands there that is none of the last chunk
                size_bytes = _size_bytes(data[at:ends])
                at = ends + len(CRLF)
                self.is_over = not size_bytes
                self._left = size_bytes + len(CRLF)
            taken = min(self._left, end - at)
            piece = data[at : at + max(0, min(taken, self._left - len(CRLF)))]
            if piece:
                content.append(piece)
            self._left -= taken
            at += taken
        return content


def _size_bytes(line: bytes) -> int:
    digits = line.partition(b";")[0]
    try:
        size_bytes = int(digits, 16)
    except ValueError as error:
        raise ChunkedBodyError(f"a chunk's size is {digits[:20]!r}") from error
    if size_bytes < 0:
        raise ChunkedBodyError(f"a chunk's size is {digits[:20]!r}")
    return size_bytes
