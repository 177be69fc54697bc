"""A store, the way between it and us, and our loop: what happens is drawn, what we make of it is measured.

Nothing here knows how the measuring core concludes anything; it is only fed, and asked for its judgements.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from operator import itemgetter
from random import Random
from typing import NamedTuple

from exporter.measure.arrivals import Arrivals
from exporter.measure.dating import Evidence, date_commit
from exporter.measure.events import Event
from exporter.measure.judging import (
    Around,
    EarlyReason,
    Judgement,
    Known,
    Opening,
    PendingChunk,
    PendingEvents,
    Run,
    grouped_by_evidence,
    judge,
)
from exporter.measure.serverclock import DatedAnswer, ServerClocks
from exporter.measure.store import Store
from exporter.measure.times import Interval
from exporter.measure.undecided import Provisional, Undecided, batches
from tests.measure.histories import History
from tests.measure.server_clock import DRIFT, WanderingClock

BEAT_SECONDS = 0.02
POLL_PERIOD_SECONDS = 0.2
MOST_POLLS_IN_FLIGHT = 16
THRESHOLD_SECONDS = 1.0


@dataclass(frozen=True)
class Phase:
    """For `seconds`: how long a request is on its way, its answer, and an event from its commit to our host."""

    seconds: float
    out: float = 0.001
    back: float = 0.002
    delivery: float = 0.005


class Pause(NamedTuple):
    """For `seconds` from `began` on, something stands still."""

    began: float
    seconds: float

    def after(self, instant: float) -> float:
        """`instant`, or the end of the pause if it falls into it."""
        ended = self.began + self.seconds
        return ended if self.began <= instant < ended else instant


NEVER = Pause(0.0, 0.0)


@dataclass(frozen=True)
class World:
    """What really happens."""

    history: History
    phases: tuple[Phase, ...]
    our_stall: Pause = NEVER
    etcd_freeze: Pause = NEVER
    """Consistent reads wait until it is over. That nothing is committed meanwhile is the history's business."""
    server_clock: WanderingClock | None = None
    """What the Dates of answers are taken from; they have none without it."""
    streams: int = 1
    seed: int = 0

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def phase_at(self, instant: float) -> Phase:
        for phase in self.phases:
            if instant < phase.seconds:
                return phase
            instant -= phase.seconds
        return Phase(0.0)

    def deliveries(self, jitter: Random) -> Iterator[tuple[int, float]]:
        """Each revision, and when it reached our host on one stream; streams keep the order."""
        reached = 0.0
        for revision in self.history.revisions:
            committed = self.history.committed(revision)
            delivery_seconds = self.phase_at(committed).delivery * jitter.uniform(0.9, 1.1)
            reached = max(reached, committed + delivery_seconds)
            yield revision, reached


class Verdict(NamedTuple):
    """A judgement beside the truth, why it was early if it was, and what was said of the event while it waited."""

    judgement: Judgement
    true_latency: float
    early: EarlyReason | None
    said_before: list[Undecided]


@dataclass
class Stream:
    """One stream's deliveries to come, and our side of it."""

    deliveries: deque[tuple[int, float]]
    arrivals: Arrivals
    pending: PendingEvents
    reached: dict[int, float]
    said: defaultdict[int, list[Undecided]]
    opening: Opening = field(default_factory=lambda: Opening(at=-inf))
    undecoded: list[tuple[list[int], Interval]] = field(default_factory=list)

    def read(self, now: float) -> None:
        """Stamp what has reached us."""
        read: list[int] = []
        while self.deliveries and self.deliveries[0][1] <= now:
            revision, self.reached[revision] = self.deliveries.popleft()
            read.append(revision)
        if read:
            self.undecoded.append((read, self.arrivals.received(now, 1000 * len(read))))

    def decode(self, before: float) -> Iterator[tuple[int, float]]:
        """Enter what was stamped before: the newest revision of each read, and its arrival."""
        while self.undecoded and self.undecoded[0][1].latest < before:
            read, arrival = self.undecoded.pop(0)
            self.pending.enter(PendingChunk([Event("modified", revision) for revision in read], arrival, self.opening))
            yield read[-1], arrival.latest


class Answer(NamedTuple):
    poll: int
    t0: float
    there: float
    """When it reached our host; we may read it later."""
    written: float
    revision: int


class Observer:
    """Our process in a world: in each turn of its loop it reads, looks, polls and judges."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = Random(world.seed)
        self._store = Store()
        self._clocks = ServerClocks(one_apiserver=True, drift=DRIFT)
        self._streams = [
            Stream(deque(world.deliveries(self._chance)), Arrivals(), PendingEvents(), {}, defaultdict(list))
            for _ in range(world.streams)
        ]
        self._in_flight: list[Answer] = []
        self._polls = 0
        self._next_poll = 0.0
        self.verdicts: list[Verdict] = []

    def run(self) -> list[Verdict]:
        """Live through the world and 20 s of health after it, so that everything is judged."""
        for stream in self._streams:
            stream.arrivals.connected(0.0, 0.0)
        now = 0.0
        while now < self._world.seconds + 20:
            steady = now < self._world.seconds
            now = self._world.our_stall.after(now + BEAT_SECONDS * (self._chance.uniform(0.5, 1.5) if steady else 10))
            self._turn(now)
        return self.verdicts

    def _turn(self, now: float) -> None:
        """Which socket is served first is up to the kernel."""
        serve: list[Callable[[float], None]] = [self._take_answers]
        for stream in self._streams:
            serve += [stream.read, self._decoder(stream)]
        self._chance.shuffle(serve)
        for socket in serve:
            socket(now)
        for stream in self._streams:
            stream.arrivals.found_empty(now)
        if now >= self._next_poll:
            self._next_poll = now + POLL_PERIOD_SECONDS * self._chance.uniform(0.7, 1.3)
            self._poll(now)
        for stream in self._streams:
            self._judge(stream, now)
            self._say_what_is_certain(stream)

    def _decoder(self, stream: Stream) -> Callable[[float], None]:
        """What was read in an earlier turn; polls may be answered, and events judged, in between."""

        def decode(now: float) -> None:
            for newest, arrived in stream.decode(now):
                self._store.polls.arrived(newest, arrived)

        return decode

    def _poll(self, now: float) -> None:
        if len(self._in_flight) >= MOST_POLLS_IN_FLIGHT:
            return
        self._polls += 1
        self._store.polls.poll_sent(self._polls, now)
        read = self._world.etcd_freeze.after(now + self._world.phase_at(now).out)
        written = read + 0.0005
        there = written + self._world.phase_at(written).back
        self._in_flight.append(Answer(self._polls, now, there, written, self._world.history.revision_at(read)))

    def _take_answers(self, now: float) -> None:
        for answer in sorted(self._in_flight, key=lambda answer: answer.there):
            if answer.there <= now:
                self._in_flight.remove(answer)
                self._learn_date(answer, now)
                assert self._store.poll_answered(answer.poll, now, answer.revision) is None

    def _learn_date(self, answer: Answer, now: float) -> None:
        if self._world.server_clock is None:
            return
        dated = DatedAnswer(answer.t0, now, self._world.server_clock.date(answer.written))
        proven = self._clocks.written_before(1, dated)
        if proven is not None:
            self._store.dates.learn(self._clocks.clock_of(1), answer.revision, proven)

    def _judge(self, stream: Stream, now: float) -> None:
        polls = self._store.polls
        around = Around(lambda _, revision: Known(self._store.answered_span(revision)), polls.arrived_span)
        for early, ready in groupby(stream.pending.ready(polls.settled_until, now), key=itemgetter(1)):
            for batch in grouped_by_evidence([chunk for chunk, _ in ready], around):
                first = batch[0].events[0].revision
                assert first is not None
                evidence = self._store.answers(first)
                for run in batch:
                    self._verdicts(stream, run, evidence, early)

    def _verdicts(self, stream: Stream, run: Run, evidence: Evidence, early: EarlyReason | None) -> None:
        pending, events = run
        assert events[0].revision is not None
        arrived_by = self._store.polls.arrived_by(events[0].revision)
        dated = date_commit(evidence.with_arrival(arrived_by, pending.arrival.latest))
        arrival = stream.arrivals.excusing_us(pending.arrival, dated.commit.earliest)
        judgement = judge(events[0], pending.arrival.latest, arrival, dated, THRESHOLD_SECONDS)
        for event in events:
            assert event.revision is not None
            true_latency = stream.reached[event.revision] - self._world.history.committed(event.revision)
            said_before = stream.said[event.revision]
            self.verdicts.append(Verdict(judgement._replace(event=event), true_latency, early, said_before))

    def _say_what_is_certain(self, stream: Stream) -> None:
        provisional = Provisional(stream.arrivals, THRESHOLD_SECONDS)
        count = 0
        for batch in batches(stream.pending, self._store.answered_span, lost=()):
            undecided = provisional.of(batch, self._store)
            assert undecided is not None
            count += undecided.events
            for revision in range(batch.oldest, batch.newest + 1):
                stream.said[revision].append(undecided)
        assert count == len(stream.pending)
