"""Who comes in with a token, over real sockets; what the reviews say is given here, the real ones are in tests/live."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from exporter.config import ListenAddress
from exporter.limits import refused_texts
from exporter.metrics.registry import Metrics
from exporter.web import auth_filter, http
from exporter.web.auth_filter import (
    AT_ONCE,
    MOST_TOKEN_BYTES,
    MOST_WAITING,
    TURN_SECONDS,
    AuthFilter,
)
from exporter.web.remembered import MOST_REMEMBERED
from tests.support.states import page
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.web.authentication import Handler

READER = {"/": 200, "/metrics": 200}
SCRAPER = {"/metrics": 200}
GUARDED = ("/metrics", "/", "/api/v1/status", "/nothing-here", "/livez/", "/livez/../metrics", "//livez")


class Cluster:
    """Reviews by a table, each for as long as its token's gate is shut."""

    def __init__(self, **users: dict[str, int]) -> None:
        self.users = users
        self.shut: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.is_there = True

    async def review(self, token: str, path: str) -> int:
        self.asked[token, path] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            while token in self.shut:  # noqa: ASYNC110  the test opens it
                await asyncio.sleep(0.005)
        finally:
            self.in_flight -= 1
        if not self.is_there:
            return 503
        user = self.users.get(token)
        return user.get(path, 403) if user is not None else 401


@contextlib.asynccontextmanager
async def served(
    cluster: Cluster, remembered_seconds: float = 3600, reasons: tuple[str, ...] = ()
) -> AsyncIterator[str]:
    door = AuthFilter(cluster.review, remembered_seconds)
    app = http.application(Metrics(1.0, 0.99, 60.0), lambda: reasons, list, None, door, page())
    runner = await http.serve(app, [ListenAddress("127.0.0.1", 0)])
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(url: str, token: str | None = None, *, method: str = "GET") -> int:
    """Of an answer on a connection of its own."""
    headers = bearer(token) if token is not None else {}
    async with aiohttp.ClientSession() as client, client.request(method, url, headers=headers) as response:
        await response.read()
        return response.status


async def test_each_path_is_for_those_who_may_get_it() -> None:
    async with served(Cluster(reader=READER, scraper=SCRAPER, nobody={})) as url:
        for method in ("GET", "HEAD", "POST"):
            for token in (None, "guessed"):
                assert [await status(url + path, token, method=method) for path in GUARDED] == [401] * len(GUARDED)
        assert [await status(url + path, "nobody") for path in GUARDED] == [403] * len(GUARDED)
        assert [await status(url + path, "scraper") for path in GUARDED] == [200, 403, 403, 403, 403, 200, 403]
        assert [await status(url + path, "reader") for path in GUARDED] == [200, 200, 200, 404, 404, 200, 404]
        assert await status(f"{url}/metrics", "scraper", method="HEAD") == 200


async def test_every_refusal_says_what_would_be_right() -> None:
    cluster = Cluster(nobody={})
    async with served(cluster) as url, aiohttp.ClientSession() as client:
        async with client.get(f"{url}/metrics") as response:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert "Authorization: Bearer TOKEN" in await response.text()
        async with client.get(f"{url}/metrics", headers=bearer("nobody")) as response:
            assert "verb get on the nonResourceURLs /metrics" in await response.text()
            assert "WWW-Authenticate" not in response.headers
        cluster.is_there = False
        async with client.get(f"{url}/metrics", headers=bearer("somebody")) as response:
            assert (response.status, "cannot be asked" in await response.text()) == (503, True)


async def test_probes_need_no_token_and_say_nothing_more_than_yes_or_no() -> None:
    cluster = Cluster(reader=READER, scraper=SCRAPER)
    async with served(cluster, reasons=("pods: forbidden: a secret",)) as url:
        assert [await status(url + path) for path in ("/livez", "/healthz")] == [200, 200]
        assert not cluster.asked, "a kubelet costs the apiserver nothing"
        said = {}
        for token in ("reader", "scraper", "guessed", None):
            headers = bearer(token) if token else {}
            async with aiohttp.ClientSession() as client, client.get(f"{url}/readyz", headers=headers) as response:
                said[token] = response.status, await response.text()
    no = (503, "not ready\n")
    assert said == {"reader": (503, "pods: forbidden: a secret\n"), "scraper": no, "guessed": no, None: no}


async def test_a_token_is_reviewed_once_for_each_path_and_again_when_its_time_is_over() -> None:
    cluster = Cluster(reader=READER, nobody={})
    async with served(cluster) as url:
        for token, path, expected in (("reader", "/metrics", 200), ("reader", "/", 200), ("nobody", "/metrics", 403)):
            assert [await status(url + path, token) for _ in range(5)] == [expected] * 5
        assert set(cluster.asked.values()) == {1}
        assert sum(cluster.asked.values()) == 3
    async with served(cluster, remembered_seconds=0) as url:
        cluster.asked.clear()
        assert [await status(f"{url}/metrics", "reader") for _ in range(3)] == [200] * 3
        assert cluster.asked.total() == 3
        del cluster.users["reader"]
        assert await status(f"{url}/metrics", "reader") == 401
        cluster.users["reader"] = READER
        assert await status(f"{url}/metrics", "reader") == 200


async def test_an_answer_holds_from_when_it_was_asked() -> None:
    cluster = Cluster(reader=READER)
    cluster.shut.add("reader")
    async with served(cluster, remembered_seconds=0.3) as url:
        first = asyncio.create_task(status(f"{url}/metrics", "reader"))
        await wait_until(lambda: cluster.in_flight == 1, "it is asked")
        await asyncio.sleep(0.4)
        cluster.shut.clear()
        assert await first == 200
        assert await status(f"{url}/metrics", "reader") == 200
    assert cluster.asked.total() == 2, "what was so 0.4 s ago is too old"


async def test_requests_with_one_token_share_one_review_and_who_goes_away_takes_it_from_nobody() -> None:
    cluster = Cluster(reader=READER)
    cluster.shut.add("reader")
    arrived = 0

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal arrived
        arrived += 1
        return await handler(request)

    app = http.application(Metrics(1.0, 0.99, 60.0), list, list, None, AuthFilter(cluster.review), page())
    app.middlewares.insert(0, count)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    first = asyncio.create_task(status(url, "reader"))
    await wait_until(lambda: cluster.in_flight == 1, "the first one is asked")
    asking = [asyncio.create_task(status(url, "reader")) for _ in range(19)]
    await wait_until(lambda: arrived == 20, "all others wait for it")
    first.cancel()
    await asyncio.wait(asking, timeout=0.2)  # until it is noticed that the first one has gone
    cluster.shut.clear()
    assert await asyncio.gather(*asking) == [200] * 19
    assert cluster.asked.total() == 1
    await runner.cleanup()


async def test_an_apiserver_that_does_not_answer_lets_in_whom_it_has_let_in_and_nobody_else() -> None:
    cluster = Cluster(reader=READER, scraper=SCRAPER)
    async with served(cluster) as url:
        assert await status(f"{url}/metrics", "reader") == 200
        cluster.is_there = False
        assert [await status(f"{url}/metrics", token) for token in ("reader", "scraper", "guessed")] == [200, 503, 503]
        cluster.is_there = True
        assert await status(f"{url}/metrics", "scraper") == 200, "that it was silent is not remembered"


async def test_what_is_kept_is_bounded_and_tells_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_filter, "TURN_SECONDS", 0)
    users = {f"token-{number}-of-somebody": READER for number in range(MOST_REMEMBERED + 5)}
    door = AuthFilter(Cluster(**users).review)
    other = AuthFilter(Cluster(**users).review)
    for one in (door, other):
        app = http.application(Metrics(1.0, 0.99, 60.0), list, list, None, one, page())
        runner = await http.serve(app, [ListenAddress("127.0.0.1", 0)])
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
        for token in (*users, *(f"guess-{number}" for number in range(MOST_REMEMBERED + 5))):
            await status(url, token)
        await runner.cleanup()
        assert len(one) == 2 * MOST_REMEMBERED
        assert not one._reviews
    assert not door._remembered.admitted.keys() & other._remembered.admitted.keys(), "each process has a key of its own"
    assert "of-somebody" not in repr(vars(door))


@pytest.mark.parametrize(
    ("token", "expected", "counted"),
    [
        ("x" * MOST_TOKEN_BYTES, 200, 0),
        ("x" * (MOST_TOKEN_BYTES + 1), 401, 1),
        ("é" * 10, 401, 0),
        ("two words", 401, 0),
        ("", 401, 0),
    ],
)
async def test_what_cannot_be_a_token_is_not_asked_about(
    token: str, expected: int, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(**{"x" * MOST_TOKEN_BYTES: READER})
    monkeypatch.setitem(refused_texts.times, "token", 0)
    async with served(cluster) as url:
        assert await status(f"{url}/metrics", token) == expected
    assert cluster.asked.total() == (expected == 200)
    assert refused_texts.times["token"] == counted


async def test_a_header_that_is_longer_than_any_is_not_asked_about() -> None:
    cluster = Cluster()
    async with served(cluster) as url:
        with contextlib.suppress(aiohttp.ClientOSError):  # it is closed while we write
            assert await status(f"{url}/metrics", "x" * 2**20) in {400, 431}
    assert not cluster.asked


async def test_other_schemes_are_no_tokens() -> None:
    cluster = Cluster(reader=READER)
    async with served(cluster) as url, aiohttp.ClientSession() as client:
        for authorization, expected in (("Basic reader", 401), ("reader", 401), ("bearer  reader ", 200)):
            async with client.get(f"{url}/metrics", headers={"Authorization": authorization}) as response:
                assert response.status == expected, authorization


async def test_sixty_who_guess_keep_out_neither_who_was_let_in_nor_who_comes_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        auth_filter, "WAITING_SECONDS", 60
    )  # a slow machine may need more than the 1.5 s of sixty turns
    cluster = Cluster(reader=READER, new=READER)
    async with served(cluster, remembered_seconds=0) as url:
        assert await status(f"{url}/metrics", "reader") == 200
        guesses = [0] * 60

        async def guess(who: int) -> None:
            async with aiohttp.ClientSession() as client:
                while True:
                    guesses[who] += 1
                    headers = bearer(f"guess-{who}-{guesses[who]}")
                    async with client.get(f"{url}/metrics", headers=headers) as response:
                        assert response.status == 401

        guessing = [asyncio.create_task(guess(who)) for who in range(60)]
        await wait_until(lambda: min(guesses) > 1, "all guess")
        assert [await status(f"{url}/metrics", token) for token in ("reader", "new") * 6] == [200] * 12
        for one in guessing:
            one.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*guessing, return_exceptions=True)
        )
    assert cluster.most_in_flight <= 2 * AT_ONCE


async def test_guesses_that_nobody_answers_wait_in_a_line_that_ends_and_keep_out_nobody_who_was_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth_filter, "WAITING_SECONDS", 3600)
    cluster = Cluster(reader=READER)
    cluster.shut |= {f"guess-{number}" for number in range(MOST_WAITING + 5)}
    async with served(cluster, remembered_seconds=0) as url:
        assert await status(f"{url}/metrics", "reader") == 200
        guessing = [asyncio.create_task(status(f"{url}/metrics", guess)) for guess in cluster.shut]
        await wait_until(lambda: sum(one.done() for one in guessing) == 5, "who finds no place is sent away")
        assert [await status(f"{url}/metrics", "reader") for _ in range(10)] == [200] * 10
        assert cluster.in_flight == AT_ONCE
        cluster.shut.clear()
        assert Counter(await asyncio.gather(*guessing)) == {503: 5, 401: MOST_WAITING}


async def test_strangers_make_nobody_ask_faster_than_turns_come() -> None:
    cluster = Cluster()
    async with served(cluster) as url:
        began = time.monotonic()
        guesses = [status(f"{url}/metrics", f"guess-{number}") for number in range(20)]
        assert await asyncio.gather(*guesses) == [401] * 20
        assert time.monotonic() - began > 0.9 * (20 / AT_ONCE - 1) * TURN_SECONDS


async def test_nobody_waits_for_a_turn_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_filter, "WAITING_SECONDS", 0.2)
    cluster = Cluster()
    cluster.shut |= {f"guess-{number}" for number in range(AT_ONCE + 5)}
    async with served(cluster) as url:
        guessing = [asyncio.create_task(status(f"{url}/metrics", guess)) for guess in cluster.shut]
        await wait_until(lambda: sum(one.done() for one in guessing) == 5, "who waits too long is sent away")
        cluster.shut.clear()
        assert Counter(await asyncio.gather(*guessing)) == {503: 5, 401: AT_ONCE}
