"""The bytes of one HTTP/1.1 answer in, its status, headers and body out. Any cut of the bytes gives the same answer.

Strict where aiohttp is lenient: what two readers could read in two ways is not read at all.
"""

from __future__ import annotations

import re

import aiohttp

from exporter.kubernetes.chunked import CRLF, ChunkedBody, ChunkedBodyError

MOST_HEAD_BYTES = 64 * 2**10
"""An apiserver's own have half a thousand."""

MOST_HEADERS = 128

_HEADER = r"\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*"
_HEAD = re.compile(rf"HTTP/1\.([01]) ([1-5][0-9]{{2}})(?: [^\r\n\0]*)?((?:{_HEADER}){{0,{MOST_HEADERS}}})")
_LENGTH = re.compile(r"[0-9]{1,16}")

BODILESS = frozenset({204, 304})


class NotHTTPError(aiohttp.ClientError):
    """Something else answers there, or nothing that can be read in one way only."""

    def __init__(self) -> None:
        super().__init__("the answer is not HTTP")


class TooMuchError(aiohttp.ClientError):
    """More than was allowed: before the body, or of it."""


class AnswerReader:
    """Reads one answer to a GET; interim answers before it are read over."""

    def __init__(self, most_before_bytes: int, most_body_bytes: int) -> None:
        self._most_before_bytes = most_before_bytes
        self._most_body_bytes = most_body_bytes
        self._head = b""
        """What has come of a head that is not complete."""
        self._left_bytes: int | None = None
        """Of a body with a length; None for one in chunks, or up to the connection's end."""
        self._chunks: ChunkedBody | None = None
        self.status = 0
        """0 until the head is here."""
        self.headers: dict[str, str] = {}
        """By names in lower case; what stands there several times is joined by commas."""
        self.body = bytearray()
        self.is_over = False
        self.is_kept = False
        """Whether the connection is good for another request."""

    def feed(self, data: bytes) -> None:
        """Take in what came. Raises NotHTTPError, TooMuchError or aiohttp.ClientPayloadError; then it is of no use."""
        if self.is_over:
            self.is_kept = self.is_kept and not data
            return
        if not self.status:
            data = self._read_heads(self._head + data)
        if self.status:
            self._read_body(data)

    def end(self, *, is_cut: bool) -> None:
        """The connection has ended, or broke. Raises aiohttp.ClientPayloadError if that cuts the body short."""
        if self.is_over:
            return
        if is_cut or self._chunks is not None or self._left_bytes is not None:
            raise aiohttp.ClientPayloadError
        self.is_over = True

    def _read_heads(self, data: bytes) -> bytes:
        """Read up to the head of the answer that was asked for; returns what follows it."""
        while not self.status:
            # Only what is new is searched, but for an end that was cut in two.
            at = data.find(CRLF + CRLF, max(0, len(self._head) - 3))
            if (len(data) - 3 if at < 0 else at) > MOST_HEAD_BYTES:
                raise NotHTTPError
            if at < 0:
                self._head = data
                return b""
            self._most_before_bytes -= at + len(CRLF + CRLF)
            if self._most_before_bytes < 0:
                raise TooMuchError
            self._head, head, data = b"", data[:at], data[at + len(CRLF + CRLF) :]
            self._read_head(head)
        return data

    def _read_head(self, head: bytes) -> None:
        found = _HEAD.fullmatch(head.decode("utf-8", "surrogateescape"))
        if found is None:
            raise NotHTTPError
        minor_version, status, lines = found.groups()
        if status[0] == "1":
            if status == "101":  # another protocol, which we did not ask for
                raise NotHTTPError
            return
        self.status = int(status)
        for line in lines.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self._expect_body(is_old=minor_version == "0")

    def _expect_body(self, *, is_old: bool) -> None:
        """RFC 9112, 6.3; a body's end that depends on who reads is none."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if length is not None and (coding is not None or not _LENGTH.fullmatch(length)):
            raise NotHTTPError
        if self.status in BODILESS:
            self._left_bytes = 0
        elif coding is not None:
            if coding.lower() != "chunked" or is_old:
                raise NotHTTPError
            self._chunks = ChunkedBody()
        elif length is not None:
            self._left_bytes = int(length)
        has_end = self._chunks is not None or self._left_bytes is not None
        self.is_kept = has_end and not is_old and "close" not in self.headers.get("connection", "").lower()
        if (self._left_bytes or 0) > self._most_body_bytes:
            raise TooMuchError

    def _read_body(self, data: bytes) -> None:
        if self._chunks is not None:
            self._read_chunks(self._chunks, data)
        elif self._left_bytes is not None:
            self.body += data[: self._left_bytes]
            self.is_kept = self.is_kept and len(data) <= self._left_bytes
            self._left_bytes = max(0, self._left_bytes - len(data))
            self.is_over = not self._left_bytes
        else:
            self.body += data
        if len(self.body) > self._most_body_bytes:
            raise TooMuchError

    def _read_chunks(self, chunks: ChunkedBody, data: bytes) -> None:
        if chunks.is_over:
            chunks.rest += data
        else:
            try:
                for piece in chunks.feed(data):
                    self.body += piece
            except ChunkedBodyError as error:
                raise NotHTTPError from error
        if chunks.is_over and (len(chunks.rest) >= len(CRLF) or not CRLF.startswith(chunks.rest)):
            self.is_over = True
            # Trailers are not read: what would follow them cannot be told from them.
            self.is_kept = self.is_kept and chunks.rest == CRLF
