"""An apiserver's URL in; streams on it, and all that their listeners were told, out."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from exporter.config import ResourceName
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.resources import Resource
from exporter.kubernetes.session import ApiSession, Server
from exporter.measure.arrivals import Arrivals
from exporter.measure.events import EventDecoder
from exporter.measure.times import Instant, Interval
from exporter.vocabulary import EventType, RelistReason
from exporter.watch.heartbeat import Heartbeat
from exporter.watch.reflector import Reflector
from exporter.watch.watch import DecodedBatch, End, WatchDependencies, WatchTimes
from tests.support.waiting import wait_until


class Recorder:
    """A StreamListener that keeps everything; `told` is the order in which it came."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.found_resources: list[Resource] = []
        self.relists: list[RelistReason] = []
        self.start_errors: list[StartError] = []
        self.openings: list[tuple[Instant, int | None]] = []
        self.readings: list[tuple[DecodedBatch, Interval]] = []
        self.losses: list[Instant] = []
        self.ends: list[tuple[End, float]] = []
        self.slept_seconds: list[float] = []

    def found(self, resource: Resource) -> None:
        self.told.append("found")
        self.found_resources.append(resource)

    def relisting(self, reason: RelistReason) -> None:
        self.told.append(f"relisting {reason}")
        self.relists.append(reason)

    def start_failed(self, error: StartError) -> None:
        self.told.append(f"start_failed {error.reason}")
        self.start_errors.append(error)

    def opened(self, at: Instant, listed_revision: int | None) -> None:
        self.told.append("opened")
        self.openings.append((at, listed_revision))

    def read(self, reading: DecodedBatch, arrival: Interval) -> None:
        self.readings.append((reading, arrival))

    def lost(self, at: Instant) -> None:
        self.told.append("lost")
        self.losses.append(at)

    def slept(self, seconds: float) -> None:
        self.told.append("slept")
        self.slept_seconds.append(seconds)

    def ended(self, end: End, lived_seconds: float) -> None:
        self.told.append(f"ended {end.reason}")
        self.ends.append((end, lived_seconds))

    @property
    def revisions(self) -> list[int | None]:
        """Of all events, in the order in which they were handed on."""
        return [event.revision for reading, _ in self.readings for event in reading.events]

    @property
    def repeated(self) -> list[tuple[EventType, int | None]]:
        """Type and revision of the events that were told apart from those."""
        return [(event.event_type, event.revision) for reading, _ in self.readings for event in reading.repeated]

    @property
    def undecodable(self) -> int:
        return sum(reading.undecodable for reading, _ in self.readings)

    @property
    def end_reasons(self) -> list[str]:
        return [end.reason for end, _ in self.ends]

    @property
    def start_reasons(self) -> list[str]:
        return [error.reason for error in self.start_errors]

    async def until(self, question: Callable[[], bool], what: str) -> None:
        await wait_until(question, f"{what}, told were {self.told[-20:]}", timeout_seconds=20)

    async def until_opened(self, times: int = 1) -> None:
        await self.until(lambda: len(self.openings) >= times, f"{times} openings")

    async def until_ended(self, times: int = 1) -> None:
        await self.until(lambda: len(self.ends) >= times, f"{times} ends")

    async def until_failed(self, times: int = 1) -> None:
        await self.until(lambda: len(self.start_errors) >= times, f"{times} failed starts")

    async def until_revision(self, revision: int) -> None:
        await self.until(lambda: revision in self.revisions, f"revision {revision}")


class Watching:
    """Streams on one apiserver, with what they share: sessions and a heartbeat."""

    def __init__(self, server: Server, credentials: Credentials, tasks: asyncio.TaskGroup) -> None:
        self._session = ApiSession(server, credentials)
        self._watches = ApiSession(server, credentials, force_close=True)
        self.asleep_seconds = 0.0
        """By how much a clock that counts on while the machine sleeps is ahead of ours."""
        self._heartbeat = Heartbeat(lambda _: None, lambda: time.monotonic() + self.asleep_seconds)
        self._tasks = tasks
        self._running = [tasks.create_task(self._heartbeat.run())]

    def start(
        self,
        recorder: Recorder,
        name: str = "configmaps",
        namespace: str | None = None,
        times: WatchTimes | None = None,
    ) -> Reflector:
        """One more stream, which runs until the end."""
        stream = Reflector(
            ResourceName.parse(name),
            namespace,
            session=self._session,
            watches=self._watches,
            dependencies=WatchDependencies(EventDecoder(), Arrivals(), self._heartbeat, times or WatchTimes()),
            listener=recorder,
        )
        self._running.append(self._tasks.create_task(stream.run()))
        return stream

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)
        await self._session.close()
        await self._watches.close()


@contextlib.asynccontextmanager
async def watching(url: str, folder: Path, *, authority: bytes | None = None) -> AsyncIterator[Watching]:
    """Streams to `url`; a stream that dies fails the test that it runs in."""
    kubeconfig = folder / "kubeconfig"
    cluster: dict[str, object] = {"server": url}
    if authority is not None:
        (folder / "ca.crt").write_bytes(authority)
        cluster["certificate-authority"] = "ca.crt"
    config = {
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": "token"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    kubeconfig.write_text(json.dumps(config))
    credentials = Credentials(CredentialsSource(kubeconfig))
    await credentials.load()
    async with asyncio.TaskGroup() as tasks:
        running = Watching(Server(url, is_one_apiserver=True), credentials, tasks)
        try:
            yield running
        finally:
            await running.stop()
