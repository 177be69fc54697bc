"""Extracts the write times from an object's metadata. They rest on the clock of the writer.

A timestamp says "committed after": it was made before the write was committed, whether or not this write changed it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from exporter.measure.events import Event, Lease, Stamps
    from exporter.measure.times import WallTime
    from exporter.vocabulary import StampSource

LONGEST_CHARACTERS = 64
"""A uid has 36, and a time that anybody writes is no longer: what is kept of an object is small, whoever wrote it."""

NEWEST_STAMP = "9999-12-31T23:59:59Z"
LAST_SECOND = 253_402_300_799

DIGITS_OF_SECONDS = 11
DIGITS_OF_MILLISECONDS = 14
DIGITS_OF_MICROSECONDS = 17


class Stamp(NamedTuple):
    """A write time that an apiserver put into the object, in whole seconds of its clock, cut and never rounded."""

    source: StampSource
    time: WallTime


def apiserver_stamps(stamps: Stamps) -> list[Stamp]:
    """What apiservers stamped; what is no RFC 3339 time is left out."""
    found: list[Stamp] = []
    _add(found, "managed_fields", stamps.managed_fields, 0)
    _add(found, "creation_timestamp", stamps.creation, 0)
    # The time of the request: the apiserver adds the grace period to it (registry/rest/delete.go BeforeDelete).
    _add(found, "deletion_timestamp", stamps.deletion, stamps.deletion_grace_seconds)
    return found


@lru_cache(maxsize=64)
def rfc3339(second: int) -> str:
    """A whole second since the epoch as apiservers stamp it; the newest there is for later ones, "" for earlier ones.

    Such texts have twenty characters, and compare as the times that they are.
    """
    if not 0 <= second < LAST_SECOND:
        return NEWEST_STAMP if second > 0 else ""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def renewed_at(lease: Lease) -> WallTime | None:
    """When its holder renewed it, by the holder's clock; None if it does not say."""
    renewed = lease.spec.renewTime if lease.spec is not None else None
    return parse_rfc3339(renewed) if renewed else None


def is_apiservers_own(lease: Lease) -> bool:
    """Whether an apiserver renews it to tell of itself (pkg/controlplane/apiserver): its clock is an apiserver's."""
    metadata = lease.metadata
    is_named_so = metadata.namespace == "kube-system" and metadata.name.startswith("apiserver-")
    return is_named_so and metadata.labels is not None and metadata.labels.identity == "kube-apiserver"


class StampMemory:
    """The newest managedFields time of each object seen lately: it tells whether a write moved it.

    Bounded: of more than `most_objects` those not written for longest are forgotten, half of them at once, which costs
    nothing per event; the half that was written last is always known. The next write of an object that was forgotten
    says nothing.
    """

    def __init__(self, most_objects: int = 100_000) -> None:
        self._lately: dict[str, str] = {}
        self._earlier: dict[str, str] = {}
        self._most_lately = most_objects // 2
        self._text = ""

    def forget(self) -> None:
        """Not every event since then will be told."""
        if self._lately or self._earlier:
            self._lately, self._earlier = {}, {}

    def learn(self, event: Event) -> bool:
        """Remember its newest stamp. Whether this very write put it in, as far as that is known.

        Events of one object must come in order.
        """
        uid, newest = event.uid, event.stamps.managed_fields
        before = self._lately.get(uid)
        if before is None:
            before = self._earlier.pop(uid, None)
            if event.event_type != "deleted":
                self._remember(uid, newest)
        elif event.event_type == "deleted":
            del self._lately[uid]
        elif newest != before:
            self._lately[uid] = self._shared(newest)
        if before is None:
            return event.event_type == "added" and newest != ""
        return newest > before

    def _remember(self, uid: str, newest: str) -> None:
        if not uid:
            return  # nobody knows whose stamp it is
        if len(self._lately) >= self._most_lately:
            self._lately, self._earlier = {}, self._lately
        self._lately[uid] = self._shared(newest)

    def _shared(self, newest: str) -> str:
        """The same text, kept once for what was written in one second."""
        if newest != self._text:
            self._text = newest
        return self._text


def _add(found: list[Stamp], source: StampSource, text: str, less_seconds: int) -> None:
    time = parse_rfc3339(text) if text else None
    if time is not None:
        found.append(Stamp(source, time - less_seconds))


def parse_rfc3339(text: str) -> WallTime | None:
    """Seconds since the epoch, or None for what is no RFC 3339 time; users may write what they like, and how much."""
    return _parse_rfc3339(text) if len(text) <= LONGEST_CHARACTERS else None


@lru_cache(maxsize=1024)
def _parse_rfc3339(text: str) -> WallTime | None:
    """Many objects carry the same second: cached."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo is not None else None


def parse_annotation(text: str) -> WallTime | None:
    """A write time as users put it into an annotation: RFC 3339, or Unix s, ms, us or ns by its magnitude.

    Returns seconds since the epoch, or None for anything else. Fractions of a second finer than a microsecond are cut
    (towards the past, so that "committed after" stays true).
    """
    if len(text) > LONGEST_CHARACTERS:
        return None
    text = text.strip()
    whole, _, fraction = text.partition(".")
    if whole.isascii() and whole.isdecimal() and (not fraction or (fraction.isascii() and fraction.isdecimal())):
        return _unix_time(whole, fraction)
    return parse_rfc3339(text)


def _unix_time(whole: str, fraction: str) -> WallTime | None:
    whole = whole.lstrip("0") or "0"
    digits = len(whole)
    if digits <= DIGITS_OF_SECONDS:
        return float(f"{whole}.{fraction or '0'}")
    if digits <= DIGITS_OF_MILLISECONDS:
        return int(whole) / 1e3
    if digits <= DIGITS_OF_MICROSECONDS:
        return int(whole) / 1e6
    return int(whole) // 1000 / 1e6 if digits <= DIGITS_OF_MICROSECONDS + 3 else None
