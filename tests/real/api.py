"""A small client of the Kubernetes API for tests: paths and JSON in, JSON or ApiError out; no retries, no caches."""

import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

Json = dict[str, Any]
PatchKind = Literal["merge", "strategic-merge", "json", "apply"]

PATCH_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic-merge": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The server refused: `status` is HTTP's, `reason` Kubernetes' (`NotFound`, `Forbidden`, ...) or empty."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: its type, its object, and when it was received on `time.monotonic()`."""

    type: str
    object: Json
    received_seconds: float

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.object["metadata"]["name"])

    @property
    def resource_version(self) -> int:
        """metadata.resourceVersion."""
        return int(self.object["metadata"]["resourceVersion"])


class ApiClient:
    """One user's HTTP session with one server. Every method raises ApiError or aiohttp.ClientError."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext, *, timeout_seconds: float = 60.0) -> None:
        self.url = url
        self._token = token
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0),
            timeout=self._timeout,
            read_bufsize=1 << 20,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(self, path: str, **query: str) -> Json:
        """The object or list at `path`."""
        return await self.request("GET", path, query=query)

    async def post(self, path: str, body: Json) -> Json:
        """Creates `body` in the collection at `path`."""
        return await self.request("POST", path, body=body)

    async def put(self, path: str, body: Json) -> Json:
        """Replaces the object at `path`."""
        return await self.request("PUT", path, body=body)

    async def patch(self, path: str, body: object, *, kind: PatchKind = "merge", **query: str) -> Json:
        """Patches the object at `path`."""
        return await self.request("PATCH", path, body=body, query=query, content_type=PATCH_TYPES[kind])

    async def apply(self, path: str, body: Json, *, manager: str = "tests") -> Json:
        """Server-side apply; conflicts are forced."""
        return await self.patch(path, body, kind="apply", fieldManager=manager, force="true")

    async def delete(self, path: str, body: Json | None = None, **query: str) -> Json:
        """Deletes the object or the collection at `path`; `body` is DeleteOptions."""
        return await self.request("DELETE", path, body=body, query=query)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Any request whose answer is one JSON object."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data else {}
        async with self._open().request(method, path, params=query, data=data, headers=headers) as response:
            return await _checked(response)

    async def text(self, path: str) -> str:
        """The answer at `path` as text, e.g. /metrics."""
        async with self._open().get(path) as response:
            if response.status >= 400:
                await _checked(response)
            return await response.text()

    @contextlib.asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """An open watch of the collection at `path`; iterating ends when the server ends it."""
        unlimited = aiohttp.ClientTimeout(total=None)
        async with self._open().get(path, params={"watch": "1", **query}, timeout=unlimited) as response:
            if response.status >= 400:
                await _checked(response)
            yield _watch_events(response.content)

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the client in an `async with`"
        return self._session


async def _watch_events(lines: aiohttp.StreamReader) -> AsyncIterator[WatchEvent]:
    async for line in lines:
        received_seconds = time.monotonic()
        event = json.loads(line)
        yield WatchEvent(event["type"], event["object"], received_seconds)


async def _checked(response: aiohttp.ClientResponse) -> Json:
    """The answer's JSON object. Raises ApiError."""
    if response.status < 400:
        answer: Json = await response.json()
        return answer
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {"message": text}
    raise ApiError(response.status, status.get("reason", ""), status.get("message", ""))
