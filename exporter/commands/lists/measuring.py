"""Sends each form of LIST, one after another, and then watches for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from exporter.commands.lists.advice import advice_for
from exporter.commands.lists.plan import most_bytes
from exporter.commands.lists.reading import ListReading, troubled
from exporter.commands.lists.result import TITLES, CollectionCost, ListCost, ServedFrom, served_from
from exporter.commands.lists.watching import watch_cost
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.lists import Collection
from exporter.kubernetes.session import ApiSession
from exporter.server_metrics.families import LIST_FAMILIES, samples_of
from exporter.server_metrics.lists import lists_between
from exporter.server_metrics.sources import ask_apiserver
from exporter.service.daemon import load_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.commands.lists.plan import PlannedList
    from exporter.commands.lists.result import WatchCost
    from exporter.commands.lists.sampling import Plan
    from exporter.commands.progress_line import ProgressLine
    from exporter.config import Config
    from exporter.server_metrics.between import ServerReading

WANTED = samples_of(LIST_FAMILIES)


class CommandRun(NamedTuple):
    """What all resources have in common."""

    config: Config
    watch_seconds: float
    stopping: asyncio.Event
    progress: ProgressLine


async def costs_of(run: CommandRun, plans: Sequence[Plan]) -> list[CollectionCost]:
    """The costs of all plans: one LIST at a time, then all watches together. Raises CredentialsError."""
    credentials = await load_credentials(run.config)
    costings: list[_Costing] = []
    try:
        for plan in plans:
            why_not = costings[-1].why_not if costings else None
            costings.append(_Costing(run, plan, ApiSession(plan.server, credentials), why_not))
            await costings[-1].list_all()
        run.progress.say("watching", lambda: f"watching for {run.watch_seconds:g} s")
        await asyncio.gather(*(costing.watch() for costing in costings))
    finally:
        for costing in costings:
            await costing.session.close()
    return [costing.cost() for costing in costings]


class _Costing:
    """One resource on one apiserver."""

    def __init__(self, run: CommandRun, plan: Plan, session: ApiSession, why_not: str | None) -> None:
        self.session = session
        self.why_not = why_not
        """Why nothing more is asked for; None while it is."""
        self._run = run
        self._plan = plan
        self._lists: list[ListCost] = []
        self._watch: WatchCost | None = None
        self._reading: ServerReading | None = None
        self._why_no_metrics: str | None = None

    async def list_all(self) -> None:
        """Every form, with a look at the server's metrics before the first and after each."""
        if self._plan.lists and self.why_not is None:
            await self._read_metrics()
        for planned in self._plan.lists:
            self._lists.append(await self._list(planned))

    async def watch(self) -> None:
        """A watch of metadata, from now on."""
        run, resource, sample = self._run, self._plan.resource, self._plan.sample
        if resource is not None and sample is not None and self.why_not is None:
            collection = Collection(self.session, resource, run.config.namespace)
            self._watch = await watch_cost(collection, sample, run.watch_seconds, run.stopping)

    def cost(self) -> CollectionCost:
        """All that is known."""
        plan, trouble = self._plan, self._plan.trouble
        return CollectionCost(
            apiserver=plan.server.name,
            group=plan.name.group,
            resource=plan.name.plural,
            namespace=self._run.config.namespace,
            trouble=trouble and trouble.said,
            why_no_server_metrics=self._why_no_metrics,
            sample=plan.sample,
            lists=self._lists,
            watch=self._watch,
            advice=advice_for(plan.name, plan.sample, self._lists, self._watch),
        )

    async def _list(self, planned: PlannedList) -> ListCost:
        resource, stopping = self._plan.resource, self._run.stopping
        assert resource is not None
        reading = ListReading(self.session, most_bytes(planned), stopping.is_set)
        if stopping.is_set():
            self.why_not = "interrupted"
        if why_not := planned.why_not or self.why_not:
            return _cost(planned, "", reading, None, why_not)
        path = resource.path(planned.namespace)
        self._run.progress.say(f"{path} {planned.form}", lambda: f"{resource}: {TITLES[planned.form]}")
        read = reading.stream if planned.form == "streaming" else reading.list_all
        trouble = await troubled(read(path, planned.parameters, planned.accept))
        if trouble is not None and trouble.is_throttling:
            self.why_not = "not sent, because the apiserver has refused with 429"
        served = await self._served(reading, is_stream=planned.form == "streaming", is_whole=trouble is None)
        query = f"?{urlencode(planned.parameters)}" if planned.parameters else ""
        return _cost(planned, f"{path}{query}", reading, served, trouble and trouble.said)

    async def _read_metrics(self) -> None:
        self._reading = None
        if self._run.config.apiserver_metrics == "off":
            self._why_no_metrics = "--apiserver.metrics is off"
            return
        try:
            self._reading = await ask_apiserver(self.session, WANTED)
        except StartError as error:
            self._why_no_metrics = str(error)

    async def _served(self, reading: ListReading, *, is_stream: bool, is_whole: bool) -> ServedFrom | None:
        """None also for a LIST that is not whole: how many of ours the apiserver has counted is not known then."""
        before, name = self._reading, self._plan.name
        if before is None or self.why_not is not None:
            return None
        await self._read_metrics()
        if self._reading is None:
            return None
        between = lists_between(before, self._reading, name.group, name.plural)
        if between is None:
            self._why_no_metrics = "several processes answer at this address, or it does not count LISTs"
            return None
        if not is_whole:
            return None
        return served_from(between, None if is_stream else reading.pages, reading.objects)


def _cost(
    planned: PlannedList, request: str, reading: ListReading, served: ServedFrom | None, trouble: str | None
) -> ListCost:
    return ListCost(
        form=planned.form,
        request=request,
        first_byte_seconds=reading.first_byte_seconds,
        seconds=reading.seconds,
        counting_seconds=reading.counting_seconds,
        size_bytes=reading.size_bytes,
        objects=reading.objects,
        pages=reading.pages,
        served=served,
        trouble=trouble,
    )
