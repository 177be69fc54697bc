"""Decodes the bytes of a watch into events. Any split of the byte stream gives the same events.

Only what dates an event is decoded: type, revision, and the times in its metadata. No model of an object is built.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec

from exporter.limits import beginning
from exporter.measure.pods import MIRROR, PodAnnotations, PodParts, PodShown, Pull, PulledEvent
from exporter.measure.write_times import LONGEST_CHARACTERS
from exporter.vocabulary import EventType  # noqa: TC001 msgspec resolves the types of fields when it is asked for them

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.limits import Refused


MOST_REVISION_DIGITS = 20
"""A resourceVersion that is a number is an unsigned one of 64 bits."""

LONGEST_NAME_CHARACTERS = 253
"""Of an object in Kubernetes."""

LONGEST_LINE_BYTES = 4 * 1024 * 1024
"""An apiserver takes requests of 3 MiB at most, and etcd of 1.5 MiB unless it is told otherwise: what is longer is no
event. Of many small values a line becomes fifteen times as much memory."""

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Kubernetes knows no longer integers; no arithmetic with these overflows a float."""


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
    name: str = ""
    """namespace/name, or the name alone; "" while names are not read."""
    content: PodShown | Pull | None = None
    """What else is decoded of the object, where it is watched whole for that."""


COMPARED_FIELDS = ("event_type", "annotation", "lease")
"""Events that differ in one of these are judged apart: their values affect the verdict."""

OTHER_FIELDS = ("stamps", "revision", "uid", "name", "content")
"""Stamps are compared too, but old ones say the same. A revision affects the verdict by what polls know around it. The
identity of the object affects no verdict. A test checks that every field of an event is in one of the two."""

compared = attrgetter(*COMPARED_FIELDS)
"""The values of COMPARED_FIELDS."""


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


class _LeaseLine(msgspec.Struct, gc=False):
    object: Lease


class _PulledLine(msgspec.Struct, gc=False):
    object: PulledEvent


class _TypeOnly(msgspec.Struct):
    type: str


_EVENT_TYPES: Mapping[str, EventType] = {
    "ADDED": "added",
    "MODIFIED": "modified",
    "DELETED": "deleted",
    "BOOKMARK": "bookmark",
}


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _is_short(pull: Pull) -> bool:
    return len(pull.pod_uid) <= LONGEST_CHARACTERS and len(pull.container) <= LONGEST_NAME_CHARACTERS


class EventDecoder:
    """Decodes single lines; with an annotation's key also that annotation's value, and no other."""

    def __init__(self, annotation: str | None = None) -> None:
        self.refused: Counter[Refused] = Counter()
        """How many texts were beyond their limit and are left out; for whoever counts them to read and to clear."""
        if annotation == MIRROR:
            annotation = None  # a kubelet's hash, which is no time; of a pod it is read for what it is
        self._annotated = annotation is not None
        self._annotation = annotation
        self.reads_names = False
        self._leases = msgspec.json.Decoder(_LeaseLine)
        self._pulls = msgspec.json.Decoder(_PulledLine)
        self._errors = msgspec.json.Decoder(_ErrorLine)
        self._types = msgspec.json.Decoder(_TypeOnly)

    @property
    def reads_names(self) -> bool:
        """Whether events have their object's name from now on: only late ones need it, and each costs memory."""
        return self._reads_names

    @reads_names.setter
    def reads_names(self, reads_names: bool) -> None:
        self._reads_names = reads_names
        self._lines = _decoders(self._annotation, has_names=reads_names)
        self._pods = _decoders(self._annotation, has_names=reads_names, of_pods=True)

    def decode(self, line: bytes) -> Event | WatchError | Undecodable:
        """One line, without its newline. Whatever comes is answered by a value, never by an exception."""
        try:
            decoded = self._lines.limited.decode(line)
        except _UNREADABLE as error:
            decoded = self._within_limits(line, self._lines)
            if decoded is None:
                return self._error_or_undecodable(line, str(error))
        return self._event(line, decoded)

    def decode_lease(self, line: bytes) -> Event | WatchError | Undecodable:
        """The same for the whole object of a Lease; one whose spec is none is still an event."""
        event = self.decode(line)
        if isinstance(event, Event):
            with suppress(*_UNREADABLE):
                lease = self._leases.decode(line).object
                if max(map(len, _texts_of(lease))) <= LONGEST_NAME_CHARACTERS:
                    return msgspec.structs.replace(event, lease=lease)
                self.refused["managed_fields"] += 1
        return event

    def decode_pod(self, line: bytes) -> Event | WatchError | Undecodable:
        """The same for the whole object of a pod; one that shows nothing of its start is still an event."""
        try:
            decoded = self._pods.limited.decode(line)
        except _UNREADABLE:
            decoded = self._within_limits(line, self._pods)
            if decoded is None:
                return self.decode(line)
        return self._event(line, decoded, is_whole_pod=True)

    def decode_pull(self, line: bytes) -> Event | WatchError | Undecodable:
        """The same for the whole object of an Event that may report a pull. One that has expired reports none."""
        event = self.decode(line)
        if isinstance(event, Event) and event.event_type in {"added", "modified"}:
            with suppress(*_UNREADABLE):
                pull = self._pulls.decode(line).object.pull()
                if pull is not None and _is_short(pull):
                    return msgspec.structs.replace(event, content=pull)
        return event

    def _event(self, line: bytes, decoded: Any, *, is_whole_pod: bool = False) -> Event | WatchError | Undecodable:
        event_type, metadata = _EVENT_TYPES.get(decoded.type), decoded.object.metadata
        if event_type is None:
            return self._error_or_undecodable(line, f"unknown type {decoded.type[:LONGEST_CHARACTERS]!r}")
        annotations = metadata.annotations if self._annotated else None
        annotation = annotations.value if annotations is not None else None
        name = _name_of(metadata) if self._reads_names else ""
        shown = decoded.object.shown(metadata) if is_whole_pod and event_type != "bookmark" else None
        revision, stamps = revision_of(metadata.resourceVersion), _stamps_of(metadata)
        return Event(event_type, revision, metadata.uid, stamps, annotation, name=name, content=shown)

    def _within_limits(self, line: bytes, decoders: _Decoders) -> Any | None:
        """What a line says less the texts that are beyond their limit; None if that is not what is wrong with it."""
        try:
            decoded = decoders.unlimited.decode(line)
        except _UNREADABLE:
            return None
        metadata = decoded.object.metadata
        self._limit(metadata, "uid", "uid", "")
        if self._reads_names:
            self._limit(metadata, "name", "name", "", LONGEST_NAME_CHARACTERS)
            self._limit(metadata, "namespace", "name", "", LONGEST_NAME_CHARACTERS)
        self._limit(metadata, "creationTimestamp", "managed_fields")
        self._limit(metadata, "deletionTimestamp", "managed_fields")
        for entry in metadata.managedFields or ():
            self._limit(entry, "time", "managed_fields")
        if self._annotated and metadata.annotations is not None:
            self._limit(metadata.annotations, "value", "annotation")
        return decoded

    def _limit(
        self,
        of: Any,
        field: str,
        what: Refused,
        otherwise: str | None = None,
        longest_characters: int = LONGEST_CHARACTERS,
    ) -> None:
        if len(getattr(of, field) or "") > longest_characters:
            setattr(of, field, otherwise)
            self.refused[what] += 1

    def _error_or_undecodable(self, line: bytes, reason: str) -> WatchError | Undecodable:
        try:
            is_error = self._types.decode(line).type == "ERROR"
        except _UNREADABLE:
            is_error = False
        if not is_error:
            return Undecodable(reason)
        try:
            status = self._errors.decode(line).object
        except _UNREADABLE as error:
            return WatchError(message=self._message(f"its status cannot be read: {error}"))
        retry_after = status.details.retryAfterSeconds if status.details else None
        if retry_after is not None and retry_after < 0:
            retry_after = None  # to come back before now is no wish that can be granted
        return WatchError(status.code, self._message(status.reason), self._message(status.message), retry_after)

    def _message(self, text: str) -> str:
        kept = beginning(text)
        if len(kept) < len(text):
            self.refused["message"] += 1
        return kept


def revision_of(version: str) -> int | None:
    """The number that a resourceVersion is; None if it is none. int() takes signs, spaces and underscores as well."""
    is_number = version.isascii() and version.isdecimal() and len(version) <= MOST_REVISION_DIGITS
    return int(version) if is_number else None


def _stamps_of(metadata: Any) -> Stamps:
    newest = ""
    for entry in metadata.managedFields or ():
        if entry.time is not None and entry.time > newest:
            newest = entry.time
    creation = metadata.creationTimestamp or ""
    if len(creation) == len(newest) and creation <= newest:
        creation = ""
    return Stamps(newest, creation, metadata.deletionTimestamp or "", metadata.deletionGracePeriodSeconds or 0)


def _name_of(metadata: Any) -> str:
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


def _texts_of(lease: Lease) -> Iterator[str]:
    yield lease.metadata.name
    yield lease.metadata.namespace
    yield lease.metadata.labels.identity if lease.metadata.labels is not None else ""
    yield (lease.spec.renewTime if lease.spec is not None else None) or ""


class _Decoders(NamedTuple):
    """Of one kind of line. While decoding, a limit costs nothing; it refuses the whole line, which is then decoded
    without.
    """

    limited: msgspec.json.Decoder[Any]
    unlimited: msgspec.json.Decoder[Any]


@cache
def _decoders(annotation: str | None, *, has_names: bool, of_pods: bool = False) -> _Decoders:
    def decoder(*, is_limited: bool) -> msgspec.json.Decoder[Any]:
        line = _line_type(annotation, is_limited=is_limited, has_names=has_names, of_pods=of_pods)
        return msgspec.json.Decoder(line)

    return _Decoders(decoder(is_limited=True), decoder(is_limited=False))


def _line_type(annotation: str | None, *, is_limited: bool, has_names: bool, of_pods: bool) -> type[Any]:
    """A line of a watch, less everything that does not date its event: other fields are skipped, not built.

    Of the annotations it has the value of one, if any. Of a pod it has what shows its start, too.
    """
    text: Any = Annotated[str, msgspec.Meta(max_length=LONGEST_CHARACTERS)] if is_limited else str
    # `time` is absent after a write through /scale.
    managed_field = msgspec.defstruct("ManagedField", [("time", text | None, None)], gc=False)
    fields: list[tuple[str, Any, Any]] = [
        ("resourceVersion", str, ""),
        ("uid", text, ""),
        ("creationTimestamp", text | None, None),
        ("deletionTimestamp", text | None, None),
        ("deletionGracePeriodSeconds", Int64 | None, None),
        ("managedFields", list[managed_field] | None, None),  # type: ignore[valid-type]  # made here
    ]
    if has_names:
        name: Any = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME_CHARACTERS)] if is_limited else str
        fields += [("name", name, ""), ("namespace", name, "")]
    if annotation is not None or of_pods:
        value = {"value": annotation} if annotation is not None else {}
        annotations = msgspec.defstruct(
            "Annotations",
            [(one, text | None, None) for one in value],
            bases=(PodAnnotations,) if of_pods else (),
            rename=value,
            gc=False,
        )
        fields.append(("annotations", annotations | None, None))
    metadata = msgspec.defstruct("Metadata", fields, gc=False)
    watched = msgspec.defstruct(
        "WatchedObject", [("metadata", metadata)], bases=(PodParts,) if of_pods else (), gc=False, kw_only=True
    )
    return msgspec.defstruct("Line", [("type", str), ("object", watched)], gc=False)


class LineBudget:
    """Bytes that the unfinished lines of all streams may have together; what one stream is sent costs the others none.

    A line that is no longer than `always_bytes` needs none of it.
    """

    def __init__(self, most_bytes: int, always_bytes: int = 0) -> None:
        self.left_bytes = most_bytes
        self.always_bytes = always_bytes

    def move(self, before_bytes: int, after_bytes: int) -> bool:
        """An unfinished line has grown, or is no more; whether there is room for that. If not, nothing has changed."""
        more_bytes = max(after_bytes, self.always_bytes) - max(before_bytes, self.always_bytes)
        if more_bytes > self.left_bytes:
            return False
        self.left_bytes -= more_bytes
        return True


class LineSplitter:
    """Cuts a byte stream into lines, however the network cut it before."""

    def __init__(self, longest_line_bytes: int = LONGEST_LINE_BYTES, budget: LineBudget | None = None) -> None:
        self._longest_line_bytes = longest_line_bytes
        self._budget = budget or LineBudget(longest_line_bytes)
        self._rest = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> tuple[list[bytes], int]:
        """The lines that `chunk` completes, and how many lines were thrown away for their length."""
        if self._is_one_line(chunk):
            return [chunk[:-1]], 0
        *complete, tail = chunk.split(b"\n")
        overlong = 0
        if complete:
            if self._rest:
                complete[0] = bytes(self._rest + complete[0])
            if self._skipping:
                del complete[0]
            self._forget_rest(skipping=False)
        if tail and not self._skipping:
            has_room = len(self._rest) + len(tail) <= self._longest_line_bytes
            if has_room and self._budget.move(len(self._rest), len(self._rest) + len(tail)):
                self._rest += tail
            else:
                self._forget_rest(skipping=True)
                overlong = 1
        lines = [line for line in complete if 0 < len(line) <= self._longest_line_bytes]
        return lines, overlong + sum(len(line) > self._longest_line_bytes for line in complete)

    def leave(self) -> None:
        """The stream is over: what it still holds is soon gone, and takes no room from the others."""
        self._budget.move(len(self._rest), 0)
        self._budget = LineBudget(self._longest_line_bytes - len(self._rest))

    def _is_one_line(self, chunk: bytes) -> bool:
        """Whether it is one line, whole and by itself, as an apiserver sends each event."""
        begins = not self._rest and not self._skipping
        return begins and 1 < len(chunk) <= self._longest_line_bytes and chunk.find(b"\n") == len(chunk) - 1

    def _forget_rest(self, *, skipping: bool) -> None:
        if self._rest:
            self._budget.move(len(self._rest), 0)
            self._rest = bytearray()
        self._skipping = skipping

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of a line whose end has not come."""
        return len(self._rest)
