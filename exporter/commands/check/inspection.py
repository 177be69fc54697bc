"""Finds out everything about one apiserver address, in order and within a time limit.

It sends the same requests as the daemon, with the same parts. It does not know what a response means to a person.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import msgspec

from exporter.clocks.poll import PollConnection
from exporter.clocks.same_store import read_the_same_store
from exporter.commands.check.behind import certificates, identities
from exporter.commands.check.findings import (
    CanaryTrial,
    Findings,
    Found,
    Greeting,
    Matches,
    NotServed,
    PolledKind,
    Polls,
    Review,
    Unknown,
    UserName,
)
from exporter.credentials import CredentialsError
from exporter.kubernetes.api_discovery import find
from exporter.kubernetes.apiservers import count_apiservers
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.lists import Collection
from exporter.kubernetes.permissions import (
    Permission,
    is_allowed,
    may_get,
    own_name,
    to_poll,
    to_review,
    to_watch,
    to_write,
)
from exporter.kubernetes.resources import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, QUIET_KINDS, Resource
from exporter.kubernetes.session import UNREACHABLE, AnswerError, ApiSession, OnlyTLSError, Request, refusal
from exporter.kubernetes.writes import CanaryObject, canary_objects, try_to_write
from exporter.measure.serverclock import ClockContradictionError, DatedAnswer, ServerClocks
from exporter.server_metrics.flow_reader import DUMP_REQUESTS
from exporter.watch import definitions
from exporter.wording.quoting import printable
from exporter.wording.sentences import sentence

if TYPE_CHECKING:
    from exporter.config import Config, ResourceName
    from exporter.credentials import Credentials
    from exporter.kubernetes.session import Server

TIME_LIMIT_SECONDS = 15.0
FIRST_ANSWER = aiohttp.ClientTimeout(total=5.0)
FOLLOWING_SECONDS = 5.0
CONNECTIONS = 8

POLLS = 16
POLL_PERIOD_SECONDS = 3 / POLLS
"""In three seconds the polls hit every sixteenth of a second once: the Dates' bounds become that narrow, plus a round
trip."""
POLLING_SECONDS = 6.0
FAILURES_ENOUGH = 3

ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", is_namespaced=True)

TROUBLES = (AnswerError, CredentialsError, StartError, *UNREACHABLE)


async def inspect(
    config: Config,
    credentials: Credentials,
    server: Server,
    unreached: str | None = None,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
) -> Findings:
    """Check `server` until everything is checked, or until time is up. `unreached` says why it is no endpoint."""
    findings = Findings(config, server, credentials.origin, unreached=unreached)
    session = ApiSession(server, credentials, connections=CONNECTIONS)
    try:
        async with asyncio.timeout(time_limit_seconds):
            await _Inspection(findings, session, credentials).run()
    except TimeoutError:
        findings.ran_out_of_time = True
    finally:
        await session.close()
    return findings


class _Inspection:
    """Each step fills in a part of the findings; later steps build on what earlier ones have found."""

    def __init__(self, findings: Findings, session: ApiSession, credentials: Credentials) -> None:
        self._findings = findings
        self._config = findings.config
        self._server = findings.server
        self._session = session
        self._credentials = credentials

    async def run(self) -> None:
        findings = self._findings
        findings.greeting = await self._greeting()
        if isinstance(findings.greeting, Unknown):
            return
        findings.user = await self._user()
        if isinstance(findings.user, Unknown):
            return
        await self._ask_for_permissions()
        if findings.definitions is not None and findings.definitions.grants("list"):
            findings.custom = await self._custom_resources()
        findings.found = tuple(await asyncio.gather(*map(self._find, findings.watched_names)))
        served = [found.resource for found in findings.found if isinstance(found.resource, Resource)]
        findings.watches = tuple(await asyncio.gather(*map(self._review_watch, served)))
        findings.polls, findings.polled_kinds = await asyncio.gather(self._polls(), self._polled_kinds())

    async def _greeting(self) -> Greeting | Unknown:
        asked = time.monotonic()
        try:
            async with await self._session.send(Request("/version", time_limit=FIRST_ANSWER)) as response:
                content = await response.read()
        except TROUBLES as error:
            return Unknown(sentence(error))
        if isinstance(refused := refusal(response, content), OnlyTLSError):
            return Unknown(sentence(refused))
        seconds = time.monotonic() - asked
        return Greeting(seconds, _version(response, content), self._is_verified(), self._on_the_way(response))

    def _is_verified(self) -> bool | None:
        if not self._server.url.startswith("https"):
            return None
        context = self._credentials.ssl
        return context is None or context.verify_mode != ssl.CERT_NONE

    def _on_the_way(self, response: aiohttp.ClientResponse) -> tuple[str, ...]:
        seen = [f"{name}: {printable(response.headers[name])}" for name in ("Via", "Age") if name in response.headers]
        proxy = self._credentials.proxy(self._server.url)
        if proxy is not None:
            # Only the address: a proxy's URL may hold a password.
            parts = urlsplit(proxy)
            seen.append(f"HTTP proxy {parts.hostname}:{parts.port}" if parts.port else f"HTTP proxy {parts.hostname}")
        return tuple(seen)

    async def _user(self) -> UserName | Unknown:
        try:
            return UserName(await own_name(self._session))
        except TROUBLES as error:
            return Unknown(sentence(error))

    async def _ask_for_permissions(self) -> None:
        """Everything that does not depend on what is served."""
        findings, namespace = self._findings, self._config.namespace
        findings.clock = tuple(await asyncio.gather(*(self._review_poll(kind, namespace) for kind in QUIET_KINDS)))
        if self._config.custom_resources:
            follow = [Permission(verb, CUSTOM_RESOURCE_DEFINITIONS) for verb in ("list", "watch")]
            findings.definitions = await self._review(CUSTOM_RESOURCE_DEFINITIONS, None, *follow)
        canaries = canary_objects(self._config, self._credentials)
        findings.canaries = tuple(await asyncio.gather(*map(self._review_one, map(to_write, canaries))))
        if self._config.auth_filter:
            findings.readers = tuple(await asyncio.gather(*map(self._review_one, to_review())))
        if self._config.pod_startup:
            findings.pulls = await self._review_watch(EVENTS)
        if findings.reads_server_metrics:
            findings.server_metrics = await self._may_read("/metrics")
        if findings.reads_request_dump:
            findings.request_dump = await self._may_read(DUMP_REQUESTS)
        findings.objects = tuple(await asyncio.gather(*map(self._try_to_write, canaries)))
        if namespace is not None:
            findings.namespace = await self._is_namespace_there(namespace)
        count = Permission("list", ENDPOINT_SLICES, "default")
        findings.endpoints = await self._review(ENDPOINT_SLICES, "default", count)
        findings.apiservers = await count_apiservers(self._session)
        with suppress(*TROUBLES):
            findings.identities = await identities(self._session)
        findings.certificates = await certificates(self._server, self._credentials)

    async def _may_read(self, path: str) -> bool | Unknown:
        try:
            return await may_get(self._session, path)
        except TROUBLES as error:
            return Unknown(sentence(error))

    async def _review_poll(self, kind: Resource, namespace: str | None) -> Review:
        permission = to_poll(kind, namespace)
        return await self._review(kind, permission.namespace, permission)

    async def _review_one(self, permission: Permission) -> Review:
        return await self._review(permission.resource, permission.namespace, permission)

    async def _try_to_write(self, what: CanaryObject) -> CanaryTrial:
        try:
            await try_to_write(self._session, what)
        except TROUBLES as error:
            is_missing = isinstance(error, AnswerError) and error.status == 404
            return CanaryTrial(what, Unknown(sentence(error)), is_there=not is_missing)
        return CanaryTrial(what, None, is_there=True)

    async def _is_namespace_there(self, namespace: str) -> bool | Unknown:
        try:
            await self._session.read(Request(f"/api/v1/namespaces/{namespace}"))
        except TROUBLES as error:
            if isinstance(error, AnswerError) and error.status == 404:
                return False
            return Unknown(sentence(error))
        return True

    async def _review_watch(self, resource: Resource) -> Review:
        namespace = self._config.namespace
        where = namespace if resource.is_namespaced else None
        return await self._review(resource, where, *to_watch(resource, namespace))

    async def _review(self, resource: Resource, namespace: str | None, *permissions: Permission) -> Review:
        try:
            allowed = await asyncio.gather(*(is_allowed(self._session, permission) for permission in permissions))
        except TROUBLES as error:
            return Review(resource, namespace, permissions, Unknown(sentence(error)))
        missing = tuple(permission for permission, is_given in zip(permissions, allowed, strict=True) if not is_given)
        return Review(resource, namespace, permissions, missing)

    async def _custom_resources(self) -> Matches | Unknown:
        try:
            async with asyncio.timeout(FOLLOWING_SECONDS):
                _, known = await definitions.list_definitions(self._session)
        except TimeoutError:
            return Unknown(f"the CRDs were not listed within {FOLLOWING_SECONDS:.0f} s")
        except TROUBLES as error:
            return Unknown(sentence(error))
        names = definitions.matching(known, self._config.custom_resources)
        most = self._config.custom_resources_max
        unmatched = definitions.unmatched(known, self._config.custom_resources)
        return Matches(tuple(names[:most]), len(names[most:]), tuple(unmatched))

    async def _find(self, name: ResourceName) -> Found:
        try:
            return Found(name, await find(self._session, name, {}))
        except AnswerError as error:
            said = sentence(error)
            return Found(name, NotServed(said) if error.status == 404 else Unknown(said))
        except TROUBLES as error:
            return Found(name, Unknown(sentence(error)))

    async def _polls(self) -> Polls | None:
        """Polls of the clock's kind, or of a watched resource if there is none."""
        kind = next(iter((*filter(None, [self._findings.clock_kind]), *self._findings.listable)), None)
        if kind is None:
            return None
        clocks = ServerClocks(one_apiserver=self._server.is_one_apiserver, drift=self._config.clock_drift_ppm * 1e-6)
        place = PollConnection(self._server, self._credentials, clocks.connection_closed)
        try:
            return await _poll_at_all_phases(place, kind, self._config.namespace, clocks)
        finally:
            await place.close()

    async def _polled_kinds(self) -> tuple[PolledKind, ...] | None:
        if not self._findings.clock_kinds or not self._config.revision_clock_hz:
            return None
        return tuple(await asyncio.gather(*map(self._polled_kind, self._findings.listable)))

    async def _polled_kind(self, resource: Resource) -> PolledKind:
        of_resource = Collection(self._session, resource, self._config.namespace)
        for kind in self._findings.clock_kinds:
            try:
                if await read_the_same_store(of_resource, Collection(self._session, kind, self._config.namespace)):
                    return PolledKind(resource, kind)
            except TROUBLES as error:
                return PolledKind(resource, Unknown(sentence(error)))
        return PolledKind(resource, resource)


async def _poll_at_all_phases(
    place: PollConnection, kind: Resource, namespace: str | None, clocks: ServerClocks
) -> Polls:
    round_trips: list[float] = []
    failed: list[str] = []
    dated = contradictions = 0
    begun = time.monotonic()
    for number in range(POLLS):
        await asyncio.sleep(begun + number * POLL_PERIOD_SECONDS - time.monotonic())
        if time.monotonic() > begun + POLLING_SECONDS or len(failed) == FAILURES_ENOUGH:
            break
        try:
            answer = await place.poll(*kind.empty_list(namespace))
        except TROUBLES as error:
            failed.append(sentence(error))
            continue
        round_trips.append(answer.t1 - answer.t0)
        if answer.date is not None:
            dated += 1
            try:
                clocks.written_before(answer.connection, DatedAnswer(answer.t0, answer.t1, answer.date))
            except ClockContradictionError:
                contradictions += 1
    now = time.monotonic()
    offset, ours = clocks.hull(now), time.time() - now
    bounds = (offset.lower - ours, offset.upper - ours) if offset is not None else None
    return Polls(kind, tuple(round_trips), tuple(failed), dated, contradictions, bounds)


class _Version(msgspec.Struct, rename="camel"):
    git_version: str


def _version(response: aiohttp.ClientResponse, content: bytes) -> str | Unknown:
    if response.status != 200:
        return Unknown(sentence(refusal(response, content)))
    try:
        return printable(msgspec.json.decode(content, type=_Version).git_version)
    except msgspec.DecodeError:
        return Unknown(f"/version returned {response.content_type}, not a Kubernetes version")
