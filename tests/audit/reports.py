"""Bytes of a log in, the report out."""

from collections.abc import Iterable

from exporter.audit.counting import MOST_ROWS, Audit
from exporter.audit.events import AuditEvent
from exporter.audit.reading import EventReader
from exporter.audit.report import Client, Report, report_of
from tests.audit.lines import Json, in_order, lines


def events_in(*pieces: bytes) -> tuple[list[AuditEvent], int]:
    """The events, and how much was unreadable."""
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.end()
    return events, reader.decoder.unreadable


def report_on(events: Iterable[AuditEvent], *, unreadable: int = 0, most_rows: int = MOST_ROWS) -> Report:
    audit = Audit(most_rows)
    for event in events:
        audit.count(event)
    return report_of(audit, unreadable)


def report_of_bytes(*pieces: bytes) -> Report:
    events, unreadable = events_in(*pieces)
    return report_on(events, unreadable=unreadable)


def report_of_lines(events: list[Json]) -> Report:
    return report_of_bytes(lines(in_order(events)))


def only_client(events: list[Json]) -> Client:
    [client] = report_of_lines(events).clients
    return client
