"""One apiserver as the contract sees it: URL and tokens in, raw answers and watch lines out.

Knows nothing of whether it is the real one.
"""

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

Json = dict[str, Any]

LIST_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Json:
        """The body as a JSON object."""
        parsed: Json = json.loads(self.content)
        return parsed

    @property
    def revision(self) -> int:
        """metadata.resourceVersion of the object or list."""
        return revision_of(self.json)


def revision_of(obj: Json) -> int:
    """metadata.resourceVersion."""
    return int(obj["metadata"]["resourceVersion"])


class Watch:
    """An open watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> Json | None:
        """The next event; None at a clean EOF. Raises aiohttp.ClientPayloadError if the connection was cut."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self.response.content.readline()
        parsed: Json | None = json.loads(line) if line else None
        return parsed

    async def events(self, count: int) -> list[Json]:
        """The next `count` events, or fewer if the stream ends before."""
        seen: list[Json] = []
        while len(seen) < count and (event := await self.event()) is not None:
            seen.append(event)
        return seen

    async def rest(self) -> list[Json]:
        """All events until the clean EOF."""
        return await self.events(1_000_000)


class Server:
    """`admin` may do everything, `limited` nothing, `nobody` is not known."""

    def __init__(self, url: str, context: ssl.SSLContext | bool) -> None:  # noqa: FBT001 - aiohttp's own type for it
        self._url = url
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        self._session = aiohttp.ClientSession(base_url=self._url, connector=connector, read_bufsize=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.close()

    @property
    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        accept: str = "application/json",
        content_type: str = "application/json",
        user: str = "admin",
        **query: str,
    ) -> Answer:
        """Any request."""
        headers = {"Authorization": f"Bearer token-of-{user}", "Accept": accept, "User-Agent": "contract/1"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), content_type
        async with self._opened.request(method, path, params=query, data=data, headers=headers) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, *, accept: str = "application/json", **query: str) -> Answer:
        """GET or LIST."""
        return await self.ask("GET", path, accept=accept, **query)

    async def create(self, path: str, body: Json) -> Answer:
        """Create; it must succeed."""
        answer = await self.ask("POST", path, body)
        assert answer.status == 201, answer.content
        return answer

    async def patch(self, path: str, body: Json) -> Answer:
        """Merge patch; it must succeed."""
        answer = await self.ask("PATCH", path, body, content_type=MERGE_PATCH)
        assert answer.status == 200, answer.content
        return answer

    async def delete(self, path: str, **options: object) -> Answer:
        """Delete with these DeleteOptions; it must succeed."""
        answer = await self.ask("DELETE", path, options or None)
        assert answer.status == 200, answer.content
        return answer

    async def revision(self) -> int:
        """The store's revision now."""
        answer = await self.get(EVENTS, accept=LIST_METADATA, limit="1", fieldSelector="metadata.name=nothing")
        return answer.revision

    @asynccontextmanager
    async def watch(
        self, path: str, *, accept: str = METADATA, user: str = "admin", **query: str
    ) -> AsyncIterator[Watch]:
        """An open watch, whatever its status."""
        headers = {"Authorization": f"Bearer token-of-{user}", "Accept": accept}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._opened.get(path, params={"watch": "1", **query}, headers=headers, timeout=timeout) as response:
            try:
                yield Watch(response)
            finally:
                # Closed politely, a TLS connection would outlive the test's event loop.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()

    async def until_served(self, path: str) -> Answer:
        """The first LIST of `path` that is answered with a list."""
        deadline_seconds = time.monotonic() + PATIENCE_SECONDS
        while (answer := await self.get(path)).status != 200:
            assert time.monotonic() < deadline_seconds, answer.content
            await asyncio.sleep(0.05)
        return answer


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def configmap(name: str, **annotations: str) -> Json:
    """A new ConfigMap."""
    return {"metadata": {"name": name, "annotations": annotations}, "data": {"color": "blue"}}


def annotate(**annotations: str | None) -> Json:
    """A merge patch that sets annotations; None removes one."""
    return {"metadata": {"annotations": annotations}}
