"""Which flows hold the seats of API Priority and Fairness, and whose requests wait for one: an apiserver's own dump.

/debug/api_priority_and_fairness/dump_requests has a line for each request that is executed or queued; watches are there
only until they have begun. Chunks of it in, wherever they are cut; sums by flow out. Pure, and of bounded memory. The
format: pkg/util/flowcontrol/apf_controller_debug.go in k8s.io/apiserver 1.20 to 1.37. The details that it can be asked
for are not: a client chooses its path, and could forge lines about others with it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

MOST_LINE_BYTES: Final = 4096
"""Cells are as wide as the widest of their column: a user's name."""

MOST_NAME_CHARACTERS: Final = 300
MOST_FLOWS: Final = 2_000

EXECUTING: Final = "-1"
"""The place in its queue of a request that is in none."""

NO_QUEUES: Final = "<none>"
"""Of levels that keep no account of their requests, before 1.27."""

SCHEMA, PLACE, FLOW, SEATS = "FlowSchemaName", "RequestIndexInQueue", "FlowDistingsher", "InitialSeats"


class FlowKey(NamedTuple):
    """Requests that share a queue's fairness."""

    flow_schema: str
    distinguisher: str
    """The user's name, or the namespace, as the flow schema says; "" if it tells none apart."""


class FlowRequests(msgspec.Struct):
    """Of one flow, now."""

    seats: int = 0
    executing: int = 0
    waiting: int = 0


class FlowDump(msgspec.Struct):
    """All requests of one moment."""

    flows: dict[FlowKey, FlowRequests] = msgspec.field(default_factory=dict)
    refused: int = 0
    """Lines that were none, or of more flows than are kept."""
    is_dump: bool = False
    """Whether it begins as one does."""


class FlowParser:
    """Fed with one body."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.dump = FlowDump()
        self._rest = b""
        self._columns: dict[str, int] = {}
        self._width = 0

    def feed(self, data: bytes) -> None:
        """What comes next."""
        self.size_bytes += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        self._rest = rest[: MOST_LINE_BYTES + 1]

    def finish(self) -> FlowDump:
        """Nothing more comes; what has no end is not read."""
        return self.dump

    def _read(self, line: bytes) -> None:
        if len(line) > MOST_LINE_BYTES:
            self.dump.refused += 1
            return
        cells = line.decode(errors="replace").split(",")
        if not self._columns:
            self._columns = {name.strip(): place for place, name in enumerate(cells)}
            self._width = len(cells)
            self.dump.is_dump = {SCHEMA, PLACE, FLOW} <= self._columns.keys()
        elif self.dump.is_dump and line:
            self.dump.refused += not self._count(cells)

    def _count(self, cells: list[str]) -> bool:
        """Whether it is a request that found its place."""
        at = self._columns
        commas = len(cells) - self._width  # of the flow's name: those of other cells are all Kubernetes' own
        if commas < 0:
            return False
        cells[at[FLOW] : at[FLOW] + commas + 1] = [",".join(cells[at[FLOW] : at[FLOW] + commas + 1])]
        cells = [cell.strip() for cell in cells]
        key = FlowKey(cells[at[SCHEMA]], cells[at[FLOW]])
        seats = cells[at[SEATS]] if SEATS in at else "1"  # before 1.24 each request had one
        place = cells[at[PLACE]]
        if key.flow_schema == NO_QUEUES:
            return True
        is_request = _is_number(seats) and (place == EXECUTING or _is_number(place))
        if not is_request or max(map(len, key)) > MOST_NAME_CHARACTERS:
            return False
        found = self.dump.flows.get(key)
        if found is None:
            if len(self.dump.flows) >= MOST_FLOWS:
                return False
            found = self.dump.flows[key] = FlowRequests()
        if place == EXECUTING:
            found.executing += 1
            found.seats += int(seats)
        else:
            found.waiting += 1
        return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 6
