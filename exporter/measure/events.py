"""Bytes of a watch in, events out. Any cut of the byte stream gives the same events.

Only what dates an event is decoded: type, revision, and the times in its metadata; no model of an object is built.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec

from exporter.labels import EventType  # noqa: TC001 msgspec resolves the types of fields when it is asked for them

if TYPE_CHECKING:
    from collections.abc import Mapping


MOST_REVISION_DIGITS = 20
"""A resourceVersion that is a number is an unsigned one of 64 bits."""

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""etcd refuses requests above 1.5 MB; a line of this length is not an event."""

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Kubernetes knows no longer integers; no arithmetic with these overflows a float."""


class ManagedField(msgspec.Struct, gc=False):
    """One entry of metadata.managedFields; `time` is absent after a write through /scale."""

    time: str | None = None


class Metadata(msgspec.Struct, gc=False):
    """The part of ObjectMeta that dates a write, but for the one annotation that may be asked for."""

    resourceVersion: str = ""  # noqa: N815 Kubernetes' own name
    uid: str = ""
    creationTimestamp: str | None = None  # noqa: N815
    deletionTimestamp: str | None = None  # noqa: N815
    deletionGracePeriodSeconds: Int64 | None = None  # noqa: N815
    managedFields: list[ManagedField] | None = None  # noqa: N815


class WatchedObject(msgspec.Struct, gc=False):
    """An object as the watch sends it, less everything that does not date it."""

    metadata: Metadata


class LeaseLabels(msgspec.Struct, gc=False, rename={"identity": "apiserver.kubernetes.io/identity"}):
    """The one label by which kube-apiserver marks the Lease of its own identity."""

    identity: str = ""


class LeaseMetadata(msgspec.Struct, gc=False):
    """The part of ObjectMeta that tells whose Lease it is."""

    name: str = ""
    namespace: str = ""
    labels: LeaseLabels | None = None


class LeaseSpec(msgspec.Struct, gc=False):
    """The part of LeaseSpec that dates a write: its holder's clock, in microseconds, just before the request."""

    renewTime: str | None = None  # noqa: N815 Kubernetes' own name


class Lease(msgspec.Struct, gc=False):
    """What a Lease says of its renewal."""

    metadata: LeaseMetadata
    spec: LeaseSpec | None = None


class Stamps(msgspec.Struct, frozen=True, gc=False):
    """The write times that apiservers put into an object, as they stand there; "" where there is none."""

    managed_fields: str = ""
    """The newest of them."""

    creation: str = ""
    """Left out where it is no newer than `managed_fields`, which says at least as much unless somebody has forged it:
    objects are written far more often than created, and events with equal stamps are judged at once."""

    deletion: str = ""
    deletion_grace_seconds: int = 0


class Event(msgspec.Struct, frozen=True, gc=False):
    """One line of a watch. `revision` is None when the object's resourceVersion is no decimal number."""

    event_type: EventType
    revision: int | None
    uid: str = ""
    stamps: Stamps = Stamps()
    annotation: str | None = None
    lease: Lease | None = None


class WatchError(msgspec.Struct, frozen=True):
    """An ERROR event: the Status that the apiserver sends before it ends a watch."""

    code: int = 0
    reason: str = ""
    message: str = ""
    retry_after_seconds: float | None = None


class Undecodable(NamedTuple):
    """A line that is not an event, and why."""

    reason: str


class _StatusDetails(msgspec.Struct):
    retryAfterSeconds: float | None = None  # noqa: N815 Kubernetes' own name


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


class _ErrorLine(msgspec.Struct):
    object: _Status


class _Line(msgspec.Struct, gc=False):
    type: str
    object: WatchedObject


class _LeaseLine(msgspec.Struct, gc=False):
    object: Lease


class _TypeOnly(msgspec.Struct):
    type: str


_EVENT_TYPES: Mapping[str, EventType] = {
    "ADDED": "added",
    "MODIFIED": "modified",
    "DELETED": "deleted",
    "BOOKMARK": "bookmark",
}


class EventDecoder:
    """Decodes single lines; with an annotation's key also that annotation's value, and no other."""

    def __init__(self, annotation: str | None = None) -> None:
        self._annotated = annotation is not None
        line_type: type[Any] = _Line if annotation is None else _line_with_annotation(annotation)
        self._lines: msgspec.json.Decoder[Any] = msgspec.json.Decoder(line_type)
        self._leases = msgspec.json.Decoder(_LeaseLine)
        self._errors = msgspec.json.Decoder(_ErrorLine)
        self._types = msgspec.json.Decoder(_TypeOnly)

    def decode(self, line: bytes) -> Event | WatchError | Undecodable:
        """One line, without its newline. Whatever comes is answered by a value, never by an exception."""
        try:
            decoded = self._lines.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._error_or_undecodable(line, str(error))
        event_type = _EVENT_TYPES.get(decoded.type)
        if event_type is None:
            return self._error_or_undecodable(line, f"unknown type {decoded.type!r}")
        metadata = decoded.object.metadata
        annotations = metadata.annotations if self._annotated else None
        annotation = annotations.value if annotations is not None else None
        return Event(event_type, revision_of(metadata.resourceVersion), metadata.uid, _stamps_of(metadata), annotation)

    def decode_lease(self, line: bytes) -> Event | WatchError | Undecodable:
        """The same for the whole object of a Lease; one whose spec is none is still an event."""
        event = self.decode(line)
        if isinstance(event, Event):
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return msgspec.structs.replace(event, lease=self._leases.decode(line).object)
        return event

    def _error_or_undecodable(self, line: bytes, reason: str) -> WatchError | Undecodable:
        try:
            if self._types.decode(line).type != "ERROR":
                return Undecodable(reason)
            status = self._errors.decode(line).object
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Undecodable(reason)
        retry_after = status.details.retryAfterSeconds if status.details else None
        if retry_after is not None and retry_after < 0:
            retry_after = None  # to come back before now is no wish that can be granted
        return WatchError(status.code, status.reason, status.message, retry_after)


def revision_of(version: str) -> int | None:
    """The number that a resourceVersion is; None if it is none. int() takes signs, spaces and underscores as well."""
    is_number = version.isascii() and version.isdecimal() and len(version) <= MOST_REVISION_DIGITS
    return int(version) if is_number else None


def _stamps_of(metadata: Metadata) -> Stamps:
    newest = ""
    for entry in metadata.managedFields or ():
        if entry.time is not None and entry.time > newest:
            newest = entry.time
    creation = metadata.creationTimestamp or ""
    if len(creation) == len(newest) and creation <= newest:
        creation = ""
    return Stamps(newest, creation, metadata.deletionTimestamp or "", metadata.deletionGracePeriodSeconds or 0)


def _line_with_annotation(key: str) -> type[Any]:
    """The line's type with `metadata.annotations` narrowed to the value of `key`: the others are skipped, not built."""
    annotations = msgspec.defstruct("Annotations", [("value", str | None, None)], rename={"value": key}, gc=False)
    metadata = msgspec.defstruct(
        "AnnotatedMetadata", [("annotations", annotations | None, None)], bases=(Metadata,), gc=False
    )
    watched = msgspec.defstruct("AnnotatedObject", [("metadata", metadata)], gc=False)
    return msgspec.defstruct("AnnotatedLine", [("type", str), ("object", watched)], gc=False)


class LineSplitter:
    """Cuts a byte stream into lines, however the network cut it before."""

    def __init__(self, longest_line_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._longest_line_bytes = longest_line_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._skipping = False

    def feed(self, chunk: bytes) -> tuple[list[bytes], int]:
        """The lines that `chunk` completes, and how many lines were thrown away for their length."""
        if self._is_one_line(chunk):
            return [chunk[:-1]], 0
        *complete, tail = chunk.split(b"\n")
        overlong = 0
        if complete:
            complete[0] = b"".join((*self._rest, complete[0]))
            if self._skipping:
                del complete[0]
            self._forget_rest(skipping=False)
        if tail and not self._skipping:
            self._rest.append(tail)
            self._rest_bytes += len(tail)
            if self._rest_bytes > self._longest_line_bytes:
                self._forget_rest(skipping=True)
                overlong = 1
        lines = [line for line in complete if 0 < len(line) <= self._longest_line_bytes]
        return lines, overlong + sum(len(line) > self._longest_line_bytes for line in complete)

    def _is_one_line(self, chunk: bytes) -> bool:
        """Whether it is one line, whole and by itself, as an apiserver sends each event."""
        begins = not self._rest and not self._skipping
        return begins and 1 < len(chunk) <= self._longest_line_bytes and chunk.find(b"\n") == len(chunk) - 1

    def _forget_rest(self, *, skipping: bool) -> None:
        self._rest.clear()
        self._rest_bytes = 0
        self._skipping = skipping

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of a line whose end has not come."""
        return self._rest_bytes
