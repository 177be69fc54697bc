"""A stream and its revision poller, fed by hand."""

import time
from typing import TYPE_CHECKING

from exporter.clocks.pollers import RevisionPoller, ServerPolls
from exporter.config import ResourceName
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.resources import EVENTS, Resource
from exporter.kubernetes.session import Server
from exporter.measure.canaries import Canary
from exporter.measure.events import EventDecoder
from exporter.measure.times import Interval
from exporter.metrics.registry import Metrics
from exporter.service import status
from exporter.service.stream import Stream, StreamDependencies
from exporter.vocabulary import Phase, Verdict
from exporter.watch.watch import DecodedBatch
from tests.support.observing import config

if TYPE_CHECKING:
    from exporter.measure.judging import Judgement


class Deaf:
    """A ClockListener that nobody asks."""

    def poll_answered(self, kind: Resource, clock: str, seconds: float) -> None: ...

    def poll_failed(self, kind: Resource, clock: str, error: StartError) -> None: ...

    def date_contradicted(self) -> None: ...

    def several_clocks(self) -> None: ...

    def read_stale(self, kind: Resource) -> None: ...


def revision_poller() -> RevisionPoller:
    """A clock that polls nothing: the test tells it what polls would say."""
    server = Server("http://127.0.0.1:1", is_one_apiserver=True)
    polls = ServerPolls(server, Credentials(CredentialsSource()), most_hz=50, drift=0, listener=Deaf())
    return RevisionPoller(polls, EVENTS, None, hz=5)


def reading(*revisions: int) -> DecodedBatch:
    decoder = EventDecoder()
    lines = [b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"%d"}}}' % revision for revision in revisions]
    events = [decoder.decode(line) for line in lines]
    return DecodedBatch(events, 0, 100)  # type: ignore[arg-type]  # each line is an event


def bookmark(revision: int) -> DecodedBatch:
    line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}' % revision
    return DecodedBatch([EventDecoder().decode(line)], 0, 100)  # type: ignore[list-item]  # it is an event


class Fed:
    """A target and its clock. All instants are seconds before now."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        metrics = Metrics(1.0, 0.99, 60).resource("a:1", "", "pods")
        self.counts = metrics.counts
        self.judgements: list[Judgement] = []
        settings = config("--resource", "pods")
        around = StreamDependencies(
            settings,
            metrics,
            lambda: None,
            found=lambda _resource: None,
            judged=lambda _target, judgement: self.judgements.append(judgement),
        )
        self.target = Stream(ResourceName("pods"), "a:1", around)
        self.clock = revision_poller()
        self.target.use_clock(self.clock)
        self._polls = 0

    def relists(self, reason: str, ago: float) -> None:
        """It gives up continuity, and the watch is open again at once."""
        self.target.relisting(reason)  # type: ignore[arg-type]  # one of the reasons
        self.target.arrivals.connected(self.now - ago, self.now - ago)
        self.target.arrivals.found_empty(self.now - ago + 0.01)
        self.target.opened(self.now - ago, 100)

    def polls(self, revision: int, ago: float, *, took: float = 0.01) -> None:
        """A poll was sent, and answered."""
        self._polls += 1
        self.clock.revisions.poll_sent(self._polls, self.now - ago)
        assert self.clock.store.poll_answered(self._polls, self.now - ago + took, revision) is None

    def reads(self, *revisions: int, ago: float) -> None:
        """They came together."""
        self.target.read(reading(*revisions), Interval(self.now - ago - 0.02, self.now - ago))

    def loses_canary(self, revision: int) -> None:
        """It was written half a minute ago, and awaited for twenty seconds."""
        self.target.canary_sending()
        self.target.canary_answered(Canary(revision, sent=self.now - 30, answered=self.now - 29))
        self.target.arrivals.found_empty(self.now - 0.1)
        self.target.arrivals.found_empty(self.now)
        self.target._awaited._awaited_until = self.now - 20
        self.target.refresh()

    def counted(self, phase: Phase) -> int:
        return self.counts.events["modified", phase]

    def verdicts(self) -> dict[Verdict, int]:
        return {**self.counts.judged}

    def status(self) -> dict[str, object]:
        self.target.refresh()
        return status.stream(self.target.state)
