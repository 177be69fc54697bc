"""What there is to watch, told by a server that means no good: it is refused at a limit, and counted."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.config import ResourceName
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes import api_discovery
from exporter.kubernetes.api_discovery import find
from exporter.kubernetes.apiservers import MOST_ADDRESSES, SLICES, count_apiservers, find_apiservers
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.permissions import own_name
from exporter.kubernetes.resources import MOST_VERSIONS, NotServedError, discover
from exporter.kubernetes.session import MOST_VALUES, AnswerError, ApiSession, Server
from exporter.limits import Refused, refused_texts
from exporter.watch import definitions
from exporter.watch.definitions import list_definitions
from tests.support.configuring import write_kubeconfig

Told = Callable[[str], str]
"""A path in, a body out."""

WIDGETS = ResourceName("widgets", "example.com")


class Apiserver:
    """Answers each GET with what `told` says of its path, and keeps the paths."""

    def __init__(self, told: Told) -> None:
        self.asked: list[str] = []
        self._told = told

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(text=self._told(request.path), content_type="application/json")


@asynccontextmanager
async def asking(told: Told, folder: Path) -> AsyncIterator[tuple[ApiSession, Apiserver]]:
    apiserver, app = Apiserver(told), web.Application()
    app.router.add_route("*", "/{path:.*}", apiserver.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        credentials = Credentials(CredentialsSource(write_kubeconfig(folder, url, user={"token": "any"})))
        await credentials.load()
        session = ApiSession(Server(url, is_one_apiserver=True), credentials)
        try:
            yield session, apiserver
        finally:
            await session.close()


@pytest.fixture
def refused() -> Callable[[Refused], int]:
    """How many texts of a sort were refused since the test began."""
    before = dict(refused_texts.times)
    return lambda what: refused_texts.times[what] - before[what]


def page(*names: str, token: str = "") -> str:
    items = [{"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}} for name in names]
    return json.dumps({"metadata": {"resourceVersion": "7", "continue": token}, "items": items})


def endless(number_of_names: int, token: Callable[[int], str], size_bytes: int = 0) -> Told:
    numbers = itertools.count()

    def told(_path: str) -> str:
        number = next(numbers)
        return page(*(f"n{number}-{one}.example.com" for one in range(number_of_names)), token=token(number)) + (
            " " * size_bytes
        )

    return told


@pytest.mark.parametrize(
    ("told", "most_pages", "said"),
    [
        (endless(0, str), 402, "more than 400 pages"),
        (endless(500, str), 21, "more than 10000 definitions"),
        (endless(1, lambda _: "again"), 2, "a page that was there already"),
        (endless(1, lambda number: str(number % 2)), 3, "a page that was there already"),
        (endless(1, lambda _: "x" * 2049), 1, "length <= 2048"),
        (endless(1, str, size_bytes=2**19), 3, "more than 1048576 bytes"),
        (lambda _: page("n" * 254), 1, "length <= 253"),
        (lambda _: page("a\nb.example.com"), 1, "matching regex"),
        (lambda _: '{"metadata":{"resourceVersion":"1"},"items":[' + "[]," * MOST_VALUES + "[]]}", 1, "values"),
        (lambda _: '{"metadata":{"resourceVersion":"1"},"items":[[]]}', 1, "Expected `object`"),
        (lambda _: "[" * 10_000, 1, "not what was asked for"),
    ],
    ids=["pages", "names", "the same token", "tokens in turn", "token", "bytes", "name", "line", "[],", "[]", "[[["],
)
async def test_a_list_of_definitions_that_goes_beyond_a_limit_is_refused(  # noqa: PLR0917 three, and where
    told: Told,
    most_pages: int,
    said: str,
    tmp_path: Path,
    refused: Callable[[Refused], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(definitions, "MOST_BYTES", 2**20)
    async with asking(told, tmp_path) as (session, apiserver):
        with pytest.raises(StartError, match=said) as raised:
            await list_definitions(session)
    assert raised.value.reason == "bad_response"
    assert len(apiserver.asked) <= most_pages
    assert refused("discovery") == 1


async def test_a_list_of_definitions_that_takes_too_long_is_refused(
    tmp_path: Path, refused: Callable[[Refused], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "LISTING_SECONDS", 0.0)
    async with asking(endless(1, str), tmp_path) as (session, apiserver):
        with pytest.raises(StartError, match="longer than 0 s") as raised:
            await list_definitions(session)
    assert raised.value.reason == "bad_response"
    assert (len(apiserver.asked), refused("discovery")) == (1, 1)


async def test_definitions_are_told_the_oldest_first(tmp_path: Path, refused: Callable[[Refused], int]) -> None:
    times = {"a.example.com": "2026-01-02T00:00:00Z", "c.example.com": "2026-01-01T00:00:00Z", "b.example.com": None}
    items = [{"metadata": {"name": name, **({"creationTimestamp": at} if at else {})}} for name, at in times.items()]
    content = json.dumps({"metadata": {"resourceVersion": "7"}, "items": items})
    async with asking(lambda _: content, tmp_path) as (session, _):
        assert await list_definitions(session) == (7, ["b.example.com", "c.example.com", "a.example.com"])
    assert refused("discovery") == 0


async def test_a_group_with_endless_versions_is_asked_for_none_of_them(
    tmp_path: Path, refused: Callable[[Refused], int]
) -> None:
    versions = [{"version": f"v{number}"} for number in range(MOST_VERSIONS + 1)]
    group = json.dumps({"preferredVersion": versions[0], "versions": versions})
    async with asking(lambda _: group, tmp_path) as (session, apiserver):
        with pytest.raises(AnswerError, match="length <= 32"):
            await discover(session, WIDGETS)
    assert (apiserver.asked, refused("discovery")) == (["/apis/example.com"], 1)


@pytest.mark.parametrize(("groups", "resources", "most_asked"), [(1001, 1, 1), (1000, 5000, 8)])
async def test_a_hint_asks_no_endless_groups_and_keeps_no_endless_names(
    groups: int,
    resources: int,
    most_asked: int,
    tmp_path: Path,
    refused: Callable[[Refused], int],
) -> None:
    listed = [{"name": f"g{number}", "preferredVersion": {"version": "v1"}} for number in range(groups)]
    kinds = [{"name": f"k{number}", "namespaced": True, "verbs": ["list", "watch"]} for number in range(resources)]
    all_groups, of_group = json.dumps({"groups": listed}), json.dumps({"resources": kinds})
    own = json.dumps({"preferredVersion": {"version": "v1"}})

    def told(path: str) -> str:
        return {"/apis": all_groups, "/apis/example.com": own}.get(path, of_group)

    async with asking(told, tmp_path) as (session, apiserver):
        with pytest.raises(NotServedError, match=r"is not served here$"):
            await find(session, WIDGETS, {})
    asked = apiserver.asked[2:]  # what is not served, and where it should be
    assert asked[0] == "/apis"
    assert len(asked) <= most_asked
    assert refused("discovery") == 1
    assert api_discovery.ASKED_AT_ONCE <= 8


async def test_other_answers_are_read_as_what_they_should_be_at_once(
    tmp_path: Path, refused: Callable[[Refused], int]
) -> None:
    async with asking(lambda _: '{"status":[' + "[]," * 1000 + "[]]}", tmp_path) as (session, _):
        with pytest.raises(AnswerError, match="not what was asked for"):
            await own_name(session)
    assert refused("discovery") == 1


def slices(*addresses: str, port: Any = 6443, kind: str = "IPv4") -> str:
    endpoints = [{"addresses": [address]} for address in addresses]
    return json.dumps({"items": [{"addressType": kind, "endpoints": endpoints, "ports": [{"port": port}]}]})


@pytest.mark.parametrize(
    ("told", "servers", "refusals"),
    [
        (slices("127.0.0.1", port=99999), [], 1),
        (slices("127.0.0.1", port=0), [], 1),
        (slices("127.0.0.1", port=-1), [], 1),
        (slices("127.0.0.1", port=None), [], 1),
        (slices("foo]bar", "127.0.0.2"), ["127.0.0.2:6443"], 1),
        (slices("user:pw@127.0.0.1", "127.0.0.2"), ["127.0.0.2:6443"], 1),
        (slices("a" * 70, "127.0.0.1/8", "127.0.0.1 ", "127.1", "", "::1%lo"), [], 6),
        (slices("::1", "0:0::1", kind="IPv6"), ["[::1]:6443"], 0),
        (slices("localhost"), [], 1),
        (slices("localhost", "a" * 70, "user:pw@localhost", "foo]bar", kind="FQDN"), ["localhost:6443"], 3),
        (slices(), [], 0),
    ],
)
async def test_what_is_no_address_is_no_apiserver_and_is_counted(
    told: str, servers: list[str], refusals: int, tmp_path: Path, refused: Callable[[Refused], int]
) -> None:
    async with asking(lambda _: told, tmp_path) as (session, _):
        found = await find_apiservers(session)
        assert await count_apiservers(session) == (len(servers) or None if not refusals else None)
    assert [server.name for server in found.servers] == servers
    assert found.is_whole == (not refusals)
    assert refused("endpoint") == 2 * refusals, "once each time"


async def test_a_slice_with_endless_addresses_is_refused(tmp_path: Path, refused: Callable[[Refused], int]) -> None:
    told = slices(*(f"127.1.{number // 250}.{number % 250}" for number in range(MOST_ADDRESSES + 1)))
    async with asking(lambda _: told, tmp_path) as (session, apiserver):
        with pytest.raises(StartError, match="more than 1000 addresses") as raised:
            await find_apiservers(session)
    assert raised.value.reason == "bad_response"
    assert (apiserver.asked, refused("discovery"), refused("endpoint")) == ([SLICES], 1, 0)
