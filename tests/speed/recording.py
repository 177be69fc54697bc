"""A recorded watch in, the same events with other revisions and of other objects out, as bytes and cheaply.

Revision, name and uid are written over what was recorded; they keep their length, so nothing else changes.
"""

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import NamedTuple, Self

RECORDED = Path(__file__).parent / "recorded"
FIRST_REVISION = 1_000_000_000
"""It has ten digits, and later revisions have ten as well."""

EVENTS_IN_A_BLOCK = 50
EVENT_TYPES = ("ADDED", "MODIFIED", "DELETED")

_METADATA = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

# ObjectMeta in the order in which every apiserver writes it: name, namespace, uid, resourceVersion.
_JSON_PLACES = re.compile(
    rb'"metadata":\{"name":"[^"]*?(\d{7})","namespace":"default","uid":"[0-9a-f-]{24}([0-9a-f]{12})",'
    rb'"resourceVersion":"(\d{10})"'
)
_PROTOBUF_PLACES = re.compile(
    rb"(\d{7})\x12\x00\x1a\x07default\x22\x00\x2a\x24[0-9a-f-]{24}([0-9a-f]{12})\x32\x0a(\d{10})", re.DOTALL
)
_EVENT_TYPE = re.compile(rb"ADDED|MODIFIED|DELETED")


@dataclass(frozen=True)
class Format:
    """One format of a watch."""

    name: str
    accept: str
    content_type: str
    is_protobuf: bool = False

    @property
    def file(self) -> Path:
        """The file of the recording."""
        return RECORDED / f"{self.name}.gz"


METADATA_JSON = Format("metadata", f"application/json;{_METADATA}", "application/json")
PODS_JSON = Format("pods", "application/json", "application/json")
METADATA_PROTOBUF = Format(
    "metadata-protobuf",
    f"application/vnd.kubernetes.protobuf;{_METADATA}",
    "application/vnd.kubernetes.protobuf;stream=watch",
    is_protobuf=True,
)
FORMATS = (METADATA_JSON, PODS_JSON, METADATA_PROTOBUF)


def format_of(accept: str) -> Format:
    """The format of an apiserver's answer to a watch with this Accept header."""
    first = accept.split(",", maxsplit=1)[0]
    if "protobuf" in first:
        return METADATA_PROTOBUF
    return METADATA_JSON if _METADATA in first else PODS_JSON


def split(form: Format, stream: bytes) -> Iterator[bytes]:
    """The events of a watch: lines of JSON, or length-prefixed protobuf messages."""
    if not form.is_protobuf:
        yield from stream.splitlines(keepends=True)
        return
    position = 0
    while position < len(stream):
        end = position + 4 + int.from_bytes(stream[position : position + 4], "big")
        yield stream[position:end]
        position = end


def recorded(form: Format) -> list[bytes]:
    """The events as they were recorded."""
    return list(split(form, gzip.decompress(form.file.read_bytes())))


def mean_size(form: Format) -> float:
    """The mean size of an event in bytes."""
    return mean(map(len, recorded(form)))


class Frame(NamedTuple):
    """One event as a template: the bytes around its name's number, its uid's end and its revision."""

    pieces: tuple[bytes, bytes, bytes, bytes]
    pod: int
    event_type: str

    @classmethod
    def parse(cls, form: Format, data: bytes) -> Self:
        """Find the three places in an event of a recorded pod."""
        places = (_PROTOBUF_PLACES if form.is_protobuf else _JSON_PLACES).search(data)
        event_type = _EVENT_TYPE.search(data)
        assert places is not None, data
        assert event_type is not None, data
        (name, after_name), (uid, after_uid), (revision, after_revision) = map(places.span, (1, 2, 3))
        pieces = data[:name], data[after_name:uid], data[after_uid:revision], data[after_revision:]
        return cls(pieces, int(places[1]), event_type[0].decode())

    @property
    def template(self) -> bytes:
        """One chunk of HTTP's chunked encoding, for `template % (object, object, revision)`."""
        size = sum(map(len, self.pieces)) + 7 + 12 + 10
        one, two, three, four = (piece.replace(b"%", b"%%") for piece in self.pieces)
        return b"".join((b"%x\r\n" % size, one, b"%07d", two, b"%012d", three, b"%010d", four, b"\r\n"))


class Recording:
    """The events of one recorded watch, repeated for different pods until there are enough."""

    def __init__(self, form: Format, objects: int, only: Sequence[str] = EVENT_TYPES) -> None:
        frames = [Frame.parse(form, data) for data in recorded(form)]
        frames = [frame for frame in frames if frame.event_type in only]
        del frames[len(frames) // EVENTS_IN_A_BLOCK * EVENTS_IN_A_BLOCK :]
        self._pods = [frame.pod for frame in frames]
        self._pods_each_time = 1 + max(self._pods)
        self._times_with_new_pods = -(-objects // self._pods_each_time)
        self._templates = [frame.template for frame in frames]
        self._blocks = {
            start: b"".join(self._templates[start : start + EVENTS_IN_A_BLOCK])
            for start in range(0, len(frames), EVENTS_IN_A_BLOCK)
        }

    def chunks(self, position: int, revision: int, most: int) -> tuple[bytes, int]:
        """The next events from `position` on, at most `most`, the first with `revision`; and their number."""
        times, start = divmod(position, len(self._templates))
        block = self._blocks.get(start)
        if block is not None and most >= EVENTS_IN_A_BLOCK:
            template, events = block, EVENTS_IN_A_BLOCK
        else:
            template, events = self._templates[start], 1
        first = times % self._times_with_new_pods * self._pods_each_time
        values: list[int] = []
        for offset, pod in enumerate(self._pods[start : start + events], start=revision):
            values += (first + pod, first + pod, offset)
        return template % tuple(values), events
