"""Who sees events reach the exporter: bytes that a proxy hands over in, the interval of each arrival out."""

import re

from exporter.measure.times import Interval

# An event of a watch is a line of JSON. HTTP's chunks may end anywhere in it; nothing else has a carriage return.
EVENT = re.compile(rb'\{"type":"(?:ADDED|MODIFIED|DELETED)"[^\n]*?"resourceVersion":"(\d+)"[^\n]*\}\n')
EVENT_BEGINS = b'{"type":"'
LONGEST_BEGIN_BYTES = 32  # the beginning of an event with a chunk's boundary in it
CHUNK_BOUNDARY = re.compile(rb"\r\n[0-9a-f]+\r\n")


class Witness:
    """Knows of every event on a watch when its last byte was handed to the exporter's socket.

    A socket that the exporter does not empty takes nothing more: what then waits in front of it counts as handed over,
    for the exporter alone is to blame.
    """

    def __init__(self) -> None:
        self.arrivals: dict[int, Interval] = {}
        """By revision. What comes twice counts once, the first time."""
        self._unfinished: dict[int, bytes] = {}

    def handed_over(self, connection: int, piece: bytes, before_seconds: float, after_seconds: float) -> None:
        """Take in one piece; the signature is the proxy's."""
        text = CHUNK_BOUNDARY.sub(b"", self._unfinished.get(connection, b"") + piece)
        end = 0
        for event in EVENT.finditer(text):
            self.arrivals.setdefault(int(event[1]), Interval(before_seconds, after_seconds))
            end = event.end()
        begins = text.find(EVENT_BEGINS, end)
        self._unfinished[connection] = text[begins:] if begins >= 0 else text[-LONGEST_BEGIN_BYTES:]
