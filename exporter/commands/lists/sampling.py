"""Looks at up to 500 objects of each resource before anybody is asked whether all may be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from exporter.commands.lists.plan import PAGE_OBJECTS, WHOLE, SampledObject, planned, sample_of
from exporter.commands.lists.reading import ListReading, ListTrouble, StoppedError, troubled
from exporter.kubernetes.api_discovery import find
from exporter.kubernetes.list_counter import ListEnvelope
from exporter.kubernetes.session import ONLY_METADATA_LIST, ApiSession, Request
from exporter.service.daemon import load_credentials
from exporter.service.fleet import home_of, named_servers

if TYPE_CHECKING:
    from exporter.commands.lists.plan import PlannedList
    from exporter.commands.lists.result import ObjectSample
    from exporter.config import Config, ResourceName
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server

MOST_SAMPLE_BYTES = 256 * 2**20
"""Of 500 whole objects. Those of metadata have the limit of discovery."""


_Namespace = Annotated[str, msgspec.Meta(max_length=63)]
_LabelKey = Annotated[str, msgspec.Meta(max_length=317)]
_LabelValue = Annotated[str, msgspec.Meta(max_length=63)]
"""As long as Kubernetes allows them; a key has a prefix like a DNS name, and a slash."""


class _Metadata(msgspec.Struct):
    namespace: _Namespace = ""
    labels: dict[_LabelKey, _LabelValue] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Page(ListEnvelope):
    items: list[_Object] | None = None


class Plan(NamedTuple):
    """One resource on one apiserver: with a sample and no trouble, or without a sample and with trouble."""

    server: Server
    name: ResourceName
    resource: Resource | None
    sample: ObjectSample | None
    lists: list[PlannedList]
    trouble: ListTrouble | None

    @property
    def is_throttled(self) -> bool:
        """Whether the apiserver asks to be left alone."""
        return self.trouble is not None and self.trouble.is_throttling


async def plans_of(config: Config) -> list[Plan]:
    """For each resource on each apiserver, up to the first that is refused with 429. Raises CredentialsError."""
    credentials = await load_credentials(config)
    plans: list[Plan] = []
    for server in named_servers(config) or [home_of(credentials)]:
        session = ApiSession(server, credentials)
        try:
            for name in config.resources:
                plans.append(await _Sampling(session, config, name).plan())
                if plans[-1].is_throttled:
                    return plans
        finally:
            await session.close()
    return plans


class _Sampling:
    def __init__(self, session: ApiSession, config: Config, name: ResourceName) -> None:
        self._session = session
        self._name = name
        self._namespace = config.namespace
        self._resource: Resource | None = None
        self._sample: ObjectSample | None = None

    async def plan(self) -> Plan:
        trouble = await troubled(self._look())
        resource, sample = self._resource, self._sample
        lists = planned(resource, self._namespace, sample) if resource and sample else []
        return Plan(self._session.server, self._name, resource, sample, lists, trouble)

    async def _look(self) -> None:
        resource = self._resource = await find(self._session, self._name, {})
        path, parameters = resource.path(self._namespace), {"limit": str(PAGE_OBJECTS)}
        request = Request(path, parameters, accept=ONLY_METADATA_LIST)
        content = await self._session.read(request)
        try:
            page = msgspec.json.decode(content, type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StoppedError(f"{path}: the answer is not a list of metadata ({error})") from error
        objects = [
            SampledObject(
                one.metadata.namespace, [f"{key}={value}" for key, value in (one.metadata.labels or {}).items()]
            )
            for one in page.items or ()
        ]
        reading = ListReading(self._session, MOST_SAMPLE_BYTES, lambda: False)
        whole = await reading.list_page(path, parameters, WHOLE)
        metadata = page.metadata
        self._sample = sample_of(
            objects,
            metadata.remaining_objects if metadata.next_page else 0,
            full_bytes=whole.size_bytes,
            metadata_bytes=len(content),
            has_choice=resource.is_namespaced and self._namespace is None,
        )
