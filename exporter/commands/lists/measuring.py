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
from exporter.server_metrics.lists import ServedLists, lists_between
from exporter.server_metrics.sources import ask_apiserver
from exporter.service.daemon import load_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.commands.lists.plan import PlannedList
    from exporter.commands.lists.result import WatchCost
    from exporter.commands.lists.sampling import Plan
    from exporter.commands.progress_line import ProgressLine
    from exporter.config import Config, ResourceName
    from exporter.server_metrics.between import ServerReading

WANTED = samples_of(LIST_FAMILIES)

AFTER_429 = "not sent, because the apiserver has refused with 429"
LASTING_REFUSALS = frozenset({"unauthorized", "forbidden", "not_found"})


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


class MetricsLooks:
    """Looks at the apiserver's metrics before and after each LIST. One that fails costs one LIST its place."""

    def __init__(self, session: ApiSession, name: ResourceName, *, is_allowed: bool) -> None:
        self.is_throttled = False
        """Whether the apiserver asks to be left alone."""
        self._session = session
        self._name = name
        self._may_look = is_allowed
        """Whether it makes sense to look again."""
        self._newest: ServerReading | str = "" if is_allowed else "--apiserver.metrics is off"
        """What was seen, or why not."""

    async def before(self) -> None:
        """Look, unless it was done after the LIST before."""
        if isinstance(self._newest, str) and self._may_look:
            self._newest = await self._look()

    async def after(self) -> ServedLists | str:
        """All LISTs since the look before, or why they are not known."""
        earlier = self._newest
        if isinstance(earlier, str):
            return earlier
        later = self._newest = await self._look()
        if isinstance(later, str):
            return later
        served = lists_between(earlier, later, self._name.group, self._name.plural)
        return served or "several processes answer at this address, or it does not count LISTs"

    async def _look(self) -> ServerReading | str:
        try:
            return await ask_apiserver(self._session, WANTED)
        except StartError as error:
            self.is_throttled = error.reason == "throttled"
            self._may_look = error.reason not in LASTING_REFUSALS
            return str(error)


class _Listed(NamedTuple):
    """One form of LIST, as it went."""

    planned: PlannedList
    request: str
    reading: ListReading
    served: ServedFrom | str | None
    """Or why that is not known. None for a LIST that is not whole."""
    trouble: str | None


class _Costing:
    """One resource on one apiserver."""

    def __init__(self, run: CommandRun, plan: Plan, session: ApiSession, why_not: str | None) -> None:
        self.session = session
        self.why_not = why_not
        """Why nothing more is asked for; None while it is."""
        self._run = run
        self._plan = plan
        self._listed: list[_Listed] = []
        self._watch: WatchCost | None = None
        self._looks = MetricsLooks(session, plan.name, is_allowed=run.config.apiserver_metrics != "off")

    async def list_all(self) -> None:
        """Every form, with a look at the server's metrics before the first and after each."""
        for planned in self._plan.lists:
            self._listed.append(await self._list(planned))

    async def watch(self) -> None:
        """A watch of metadata, from now on."""
        run, resource, sample = self._run, self._plan.resource, self._plan.sample
        if resource is not None and sample is not None and self.why_not is None:
            collection = Collection(self.session, resource, run.config.namespace)
            self._watch = await watch_cost(collection, sample, run.watch_seconds, run.stopping)

    def cost(self) -> CollectionCost:
        """All that is known."""
        plan, trouble = self._plan, self._plan.trouble
        reasons = [one.served for one in self._listed if isinstance(one.served, str)]
        is_any_known = any(isinstance(one.served, ServedFrom) for one in self._listed)
        lists = [_cost(one, says_why=is_any_known) for one in self._listed]
        return CollectionCost(
            apiserver=plan.server.name,
            group=plan.name.group,
            resource=plan.name.plural,
            namespace=self._run.config.namespace,
            trouble=trouble and trouble.said,
            why_no_server_metrics=reasons[-1] if reasons and not is_any_known else None,
            sample=plan.sample,
            lists=lists,
            watch=self._watch,
            advice=advice_for(plan.name, plan.sample, lists, self._watch),
        )

    async def _list(self, planned: PlannedList) -> _Listed:
        resource, stopping = self._plan.resource, self._run.stopping
        assert resource is not None
        reading = ListReading(self.session, most_bytes(planned), stopping.is_set)
        if stopping.is_set():
            self.why_not = "interrupted"
        if (planned.why_not or self.why_not) is None:
            await self._looks.before()
            if self._looks.is_throttled:
                self.why_not = AFTER_429
        if why_not := planned.why_not or self.why_not:
            return _Listed(planned, "", reading, served=None, trouble=why_not)
        path = resource.path(planned.namespace)
        self._run.progress.say(f"{path} {planned.form}", lambda: f"{resource}: {TITLES[planned.form]}")
        is_stream = planned.form == "streaming"
        read = reading.stream if is_stream else reading.list_all
        trouble = await troubled(read(path, planned.parameters, planned.accept))
        if trouble is not None and trouble.is_throttling:
            self.why_not = AFTER_429
        served = await self._served(reading, is_stream=is_stream, is_whole=trouble is None)
        query = f"?{urlencode(planned.parameters)}" if planned.parameters else ""
        return _Listed(planned, f"{path}{query}", reading, served, trouble and trouble.said)

    async def _served(self, reading: ListReading, *, is_stream: bool, is_whole: bool) -> ServedFrom | str | None:
        """Or why not. None for a LIST that is not whole: how many of ours the apiserver has counted is not known."""
        if self.why_not is not None:
            return None
        lists = await self._looks.after()
        if self._looks.is_throttled:
            self.why_not = AFTER_429
        if not is_whole:
            return None
        return (
            lists
            if isinstance(lists, str)
            else served_from(lists, None if is_stream else reading.pages, reading.objects)
        )


def _cost(listed: _Listed, *, says_why: bool) -> ListCost:
    """`says_why`: of the single LIST, because it is known of others; what is known of none is said once, of all."""
    reading, served = listed.reading, listed.served
    return ListCost(
        form=listed.planned.form,
        request=listed.request,
        first_byte_seconds=reading.first_byte_seconds,
        seconds=reading.seconds,
        counting_seconds=reading.counting_seconds,
        size_bytes=reading.size_bytes,
        objects=reading.objects,
        pages=reading.pages,
        served=served if isinstance(served, ServedFrom) else None,
        why_not_served=served if says_why and isinstance(served, str) else None,
        trouble=listed.trouble,
    )
