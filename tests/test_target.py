"""One target, fed by hand: what is history and what is news."""

import time

from exporter.config import ResourceName
from exporter.expose.metrics import Metrics
from exporter.kubernetes.clocks import RevisionClockwork, ServerPolls
from exporter.kubernetes.credentials import Credentials
from exporter.kubernetes.resources import EVENTS, Resource
from exporter.kubernetes.session import Server
from exporter.kubernetes.watch import Reading, StartError
from exporter.measure.events import EventDecoder
from exporter.measure.times import Interval
from exporter.target import Surroundings, Target
from tests.live.observing import config


class Deaf:
    """A ClockListener that nobody asks."""

    def poll_answered(self, kind: Resource, clock: str, seconds: float) -> None: ...

    def poll_failed(self, kind: Resource, clock: str, error: StartError) -> None: ...

    def date_contradicted(self) -> None: ...


def clockwork() -> RevisionClockwork:
    """A clock that polls nothing: the test tells it what polls would say."""
    server = Server("http://127.0.0.1:1", is_one_apiserver=True)
    polls = ServerPolls(server, Credentials(None, None, None), most_hz=50, drift=0, listener=Deaf())
    return RevisionClockwork(polls, (EVENTS,), None, hz=5)


def polled(clock: RevisionClockwork, number: int, revision: int) -> None:
    clock.clock.poll_sent(number, time.monotonic())
    clock.store.poll_answered(number, time.monotonic(), revision)


def reading(*revisions: int) -> Reading:
    decoder = EventDecoder()
    lines = [b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"%d"}}}' % revision for revision in revisions]
    events = [decoder.decode(line) for line in lines]
    return Reading(events, 0, 100)  # type: ignore[arg-type]  # each line is an event


async def test_a_relist_makes_history_of_what_it_brings_and_not_of_what_was_there_before() -> None:
    settings = config("--resource", "pods")
    metrics = Metrics(1.0, 0.99, 60)
    children = metrics.resource("a:1", "", "pods")
    target = Target(
        ResourceName("pods"), "a:1", Surroundings(settings, children, lambda: None, found=lambda _resource: None)
    )
    clock = clockwork()
    target.use_clock(clock)

    target.relisting("start")
    target.opened(time.monotonic(), 100)
    target.read(reading(101), Interval(time.monotonic(), time.monotonic()))
    polled(clock, 1, 101)
    target.refresh()
    assert children.events["modified", "replayed"].value == 1, "it came before the first poll was answered"

    target.read(reading(102), Interval(time.monotonic(), time.monotonic()))
    target.relisting("gone")
    target.read(reading(110), Interval(time.monotonic(), time.monotonic()))
    polled(clock, 4, 110)
    target.refresh()
    assert children.events["modified", "live"].value == 0, "nothing is judged until history ends"

    target.opened(time.monotonic(), 109)
    polled(clock, 2, 110)
    target.read(reading(111), Interval(time.monotonic(), time.monotonic()))
    polled(clock, 3, 111)
    target.refresh()
    assert children.events["modified", "replayed"].value == 2
    assert children.events["modified", "live"].value == 2
    assert children.judged["on_time"].value == 2
    assert target.window.report(time.monotonic()).events == 2


async def test_what_a_server_says_again_is_counted_and_not_judged() -> None:
    children = Metrics(1.0, 0.99, 60).resource("a:1", "", "pods")
    around = Surroundings(config("--resource", "pods"), children, lambda: None, found=lambda _resource: None)
    target = Target(ResourceName("pods"), "a:1", around)
    arrival = Interval(time.monotonic(), time.monotonic())
    target.read(reading()._replace(repeated=reading(101, 102).events), arrival)
    assert children.events["modified", "replayed"].value == 2
    assert target.window.report(time.monotonic()).events == 0
