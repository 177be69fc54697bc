"""Bounds the offset of an apiserver's clock by the Date headers of poll responses, and dates responses with it.

When polls and watch are late together, our clock cannot tell a late event from a late poll; the response's own Date
can. The bounds are certain while no clock slews faster than the drift allowance.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.measure.revisions import CommittedBefore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.measure.revisions import Span
    from exporter.measure.times import Instant, WallTime

DATE_RESOLUTION_SECONDS = 1.0
"""A Date header is truncated to whole seconds (RFC 9110; Go's net/http when it writes the headers)."""

SAMPLES_TO_EARN = 8
WIDTH_TO_EARN_SECONDS = 0.3
"""An offset counts once this many responses agree on it this closely: two clocks behind one connection do not."""

CONTRADICTIONS_TO_SWITCH_OFF = 3
CONTRADICTIONS_WITHIN_SECONDS = 60.0
SWITCHED_OFF_SECONDS = 300.0

EXAMINED_WITHIN_SECONDS = 10.0
"""Clocks of two connections are compared if both showed a Date this recently: none can have stepped unnoticed since."""

STAMPS_JUDGED_WITHIN_SECONDS = 120.0
"""No judged event was committed longer ago, by far."""

ANSWERS_KEPT = 4096
DISPROVED_KEPT = 16


class ClockContradictionError(Exception):
    """A Date that its clock cannot have shown, by its earlier Dates."""

    def __init__(self, clock: int) -> None:
        super().__init__(f"clock {clock} contradicts what it said before")
        self.clock = clock


class DatedAnswer(NamedTuple):
    """A poll's answer: sent at t0, here at t1 (our clock), its headers written in the second `date` (the server's)."""

    t0: Instant
    t1: Instant
    date: WallTime


class Offset(msgspec.Struct, frozen=True):
    """The server's wall clock minus our monotonic clock, in seconds, within [lower, upper] at the moment `at`."""

    lower: float = -inf
    upper: float = inf
    at: Instant = 0.0
    samples: int = 0

    def aged(self, instant: Instant, drift: float) -> Offset:
        """The same knowledge at another moment, wider by `drift` seconds per second between the two."""
        slack = abs(instant - self.at) * drift
        return Offset(self.lower - slack, self.upper + slack, instant, self.samples)

    def narrowed(self, answer: DatedAnswer, drift: float) -> Offset | None:
        """The intersection of this and `answer`, at the response's t1; None if they contradict each other."""
        slack = (answer.t1 - answer.t0) * drift
        known = self.aged(answer.t1, drift)
        lower = max(known.lower, answer.date - answer.t1 - slack)
        upper = min(known.upper, answer.date + DATE_RESOLUTION_SECONDS - answer.t0 + slack)
        return Offset(lower, upper, answer.t1, self.samples + 1) if lower <= upper else None

    def instant_of(self, time: WallTime, drift: float) -> Instant:
        """The earliest moment on our clock at which the server's clock can have shown `time`."""
        instant = time - self.upper
        # The age runs up to the moment that is sought, which is earlier still: a geometric series.
        return time - self.aged(instant, drift / (1 - drift)).upper

    @property
    def is_earned(self) -> bool:
        """Whether enough responses agree closely enough to count as one server's clock."""
        return self.samples >= SAMPLES_TO_EARN and self.upper - self.lower <= WIDTH_TO_EARN_SECONDS


def hull(offsets: Sequence[Offset]) -> Offset:
    """Bounds that contain every one of `offsets`, which are of one moment or nearly; there is at least one."""
    lower, upper = min(offset.lower for offset in offsets), max(offset.upper for offset in offsets)
    return Offset(lower, upper, offsets[0].at, min(offset.samples for offset in offsets))


class ServerClocks:
    """The clocks behind one address: one for all connections if it is known to be one apiserver, else one for each.

    Connections are named by numbers that are never used twice: a new connection has learned nothing.
    """

    def __init__(self, *, one_apiserver: bool, drift: float) -> None:
        self._one_apiserver = one_apiserver
        self._drift = drift
        self._offsets: dict[int, Offset] = {}
        self._examined: dict[int, Offset] = {}
        """While contradictions have switched Dates off: what each connection's own answers say."""

        self._disproved: list[Offset] = []
        self._contradictions: deque[Instant] = deque(maxlen=CONTRADICTIONS_TO_SWITCH_OFF)
        self._off_until: Instant = -inf
        self._valid_since: Instant = -inf

    def forget(self, now: Instant) -> None:
        """Our own clock stood still: offsets to it are worthless, and so is what was asked before `now`.

        Not those that were disproved: they are kept for stamps that were made before.
        """
        self._offsets.clear()
        self._examined.clear()
        self._valid_since = now

    def clock_of(self, connection: int) -> int:
        """The number of the clock that answers over `connection`."""
        return 0 if self._one_apiserver else connection

    def written_before(self, connection: int, answer: DatedAnswer) -> Instant | None:
        """Learn from `answer`, and say by when its headers were written; None if that is not known.

        Raises ClockContradictionError if it cannot be true together with what the same clock said before: it stepped,
        or it is another server's. What that clock has proved must then be withdrawn.
        """
        if answer.t0 < self._valid_since:
            return None
        if not self.is_trusted(answer.t1):
            self._examine(connection, answer)
            return None
        clock = self.clock_of(connection)
        offset = self._offsets.get(clock, Offset()).narrowed(answer, self._drift)
        if offset is None:
            self._contradicted(clock, answer.t1)
            raise ClockContradictionError(clock)
        self._offsets[clock] = offset
        if not offset.is_earned:
            return None
        written_before = answer.date + DATE_RESOLUTION_SECONDS - offset.aged(answer.t0, self._drift).lower
        return min(written_before, answer.t1)

    def written_after(self, connection: int, answer: DatedAnswer) -> Instant:
        """The earliest moment at which headers can have been written of which `written_before` said by when."""
        offset = self._offsets[self.clock_of(connection)].aged(answer.t0, self._drift)
        return max(answer.t0, answer.date - offset.upper)

    def connection_closed(self, connection: int) -> None:
        """The offset that only this connection had learned is lost; what it proved before stays true."""
        self._examined.pop(connection, None)
        if not self._one_apiserver:
            self._offsets.pop(connection, None)

    def is_trusted(self, instant: Instant) -> bool:
        """Whether Date headers count as evidence at `instant`: contradictions switch them off for a while."""
        return instant >= self._off_until

    @property
    def shows_several_clocks(self) -> bool:
        """Whether connections that each agree with themselves certainly disagree with each other.

        One clock that is set again and again contradicts itself on every connection; this does not.
        """
        newest = max((offset.at for offset in self._examined.values()), default=0.0)
        earned = [
            offset.aged(newest, self._drift)
            for offset in self._examined.values()
            if offset.is_earned and offset.at >= newest - EXAMINED_WITHIN_SECONDS
        ]
        return bool(earned) and max(one.lower for one in earned) > min(one.upper for one in earned)

    def is_a_balancer(self) -> None:
        """This address is a load balancer for several apiservers: each connection has to learn its own clock."""
        self._one_apiserver = False
        self._offsets.clear()
        self._examined.clear()
        self._contradictions.clear()
        self._off_until = -inf

    def hull(self, instant: Instant) -> Offset | None:
        """Bounds that contain every clock behind this address that is earned; None if there is none."""
        earned = [offset.aged(instant, self._drift) for offset in self._offsets.values() if offset.is_earned]
        return hull(earned) if earned else None

    def hull_of_stamps(self, instant: Instant) -> Offset | None:
        """Bounds that contain every clock that may have made a stamp; None if those of today are not known.

        An object keeps the stamp that it got before a clock stepped back, and for as long as the step was wide, what
        the clock shows now would date that stamp after the step: until then its old offset counts as well.
        """
        now = self.hull(instant)
        if now is None:
            return None
        past = self._disproved = [
            offset
            for offset in self._disproved
            if instant <= offset.at + max(0.0, offset.upper - now.lower) + STAMPS_JUDGED_WITHIN_SECONDS
        ]
        return hull([now, *past])

    def _examine(self, connection: int, answer: DatedAnswer) -> None:
        if self._one_apiserver:
            own = self._examined.pop(connection, Offset()).narrowed(answer, self._drift)
            if own is not None:
                self._examined[connection] = own

    def _contradicted(self, clock: int, instant: Instant) -> None:
        # Earned or not, it contains what the clock showed when it stamped.
        self._disproved.append(self._offsets.pop(clock))
        if len(self._disproved) > DISPROVED_KEPT:
            oldest, second, *rest = self._disproved
            self._disproved = [hull([second, oldest.aged(second.at, self._drift)]), *rest]
        self._contradictions.append(instant)
        full = len(self._contradictions) == CONTRADICTIONS_TO_SWITCH_OFF
        if full and instant - self._contradictions[0] <= CONTRADICTIONS_WITHIN_SECONDS:
            self._off_until = instant + SWITCHED_OFF_SECONDS
            self._offsets.clear()
            self._contradictions.clear()
            self._examined.clear()


class WrittenBefore:
    """What Date headers prove about the revisions of one store, and by which clock, so that it can be withdrawn."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, int, Instant]] = deque(maxlen=ANSWERS_KEPT)
        self._committed_before = CommittedBefore()

    def learn(self, clock: int, revision: int, written_before: Instant) -> None:
        """Headers are written after the revision is read: `revision` was committed before they were."""
        self._answers.append((clock, revision, written_before))
        self._committed_before.learn(revision, written_before)

    def withdraw(self, clock: int) -> None:
        """`clock` has contradicted itself: what it proved counts no more for events not judged yet."""
        self._answers = deque((answer for answer in self._answers if answer[0] != clock), maxlen=ANSWERS_KEPT)
        self._committed_before = CommittedBefore()
        for _, revision, written_before in self._answers:
            self._committed_before.learn(revision, written_before)

    def of(self, revision: int) -> Instant:
        """The earliest moment by which a Date proves `revision` to be committed; +inf if none does."""
        return self._committed_before.of(revision)

    def span(self, revision: int) -> Span:
        """The revisions about which the Dates say the same as about `revision`."""
        return self._committed_before.span(revision)
