"""Who may ask: TLS, users, clients' names, limits and headers, over real sockets; and files that change meanwhile."""

import asyncio
import errno
import json
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest

from exporter.config import ListenAddress
from exporter.config.web_config import RateLimit
from exporter.metrics.registry import Metrics
from exporter.service import loop
from exporter.web import authentication, http
from exporter.web.authentication import MOST_WAITING, Bucket, CrowdedError, Passwords
from exporter.web.reload import WebFiles
from exporter.web.remembered import MOST_REMEMBERED
from tests.real.certificates import CertificateAuthority
from tests.support.states import page
from tests.support.waiting import wait_until
from tests.web.passwords import HASH, PASSWORD

USERS = {"basic_auth_users": {"prometheus": HASH}}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, password)}


async def fit(passwords: Passwords, password: str, password_hash: str, **how: Any) -> bool:
    return await passwords.fit("prometheus", password, password_hash, **{"client": "127.0.0.1", **how})


US = basic("prometheus", PASSWORD)
OTHERS = [
    {},
    basic("prometheus", "guessed"),
    basic("nobody", PASSWORD),
    basic("prometheus", HASH),
    basic("prometheus", ""),
    basic("prometheus", f"{PASSWORD}\0"),
    {"Authorization": US["Authorization"].replace("Basic", "Bearer")},
    {"Authorization": "Basic"},
    {"Authorization": "Basic ////"},
    {"Authorization": "Basic é"},
]
SECRETS = (
    "/metrics",
    "/",
    "/page/row",
    "/api/v1/history",
    "/api/v1/status",
    "/nothing-here",
    "/livez/",
    "/livez/../metrics",
    "//livez",
)


class Files:
    """A folder with a web.yaml and what it names."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        self.authority = CertificateAuthority(folder)
        (folder / "ca.crt").write_bytes(self.authority.bundle)
        self.server = self.authority.issue("server")
        self.write(**sections)

    def write(self, **sections: Any) -> None:
        (self.folder / "web.yaml").write_text(json.dumps(sections))

    def client(self, name: str, *hosts: str, **addresses: Any) -> ssl.SSLContext:
        """A client with a certificate of this authority."""
        issued = self.authority.issue(name, hosts=hosts, **addresses)
        context = self.authority.client_context()
        context.load_cert_chain(issued.certificate_file, issued.key_file)
        return context

    @asynccontextmanager
    async def served(self, reasons: list[str] | None = None) -> AsyncIterator[tuple[str, WebFiles]]:
        files = WebFiles(self.folder / "web.yaml")
        app = http.application(Metrics(1.0, 0.99, 60.0), lambda: reasons or [], list, files.access, page=page())
        runner = await http.serve(app, [ListenAddress("127.0.0.1", 0)], files.tls)
        try:
            host, port = runner.addresses[0][:2]
            yield f"{'https' if files.tls else 'http'}://{host}:{port}", files
        finally:
            await runner.cleanup()


TLS = {"cert_file": "server.crt", "key_file": "server.key"}
VERIFIED = {**TLS, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}


async def status(url: str, **how: Any) -> int:
    """Of an answer on a connection of its own."""
    async with aiohttp.ClientSession() as client, client.get(url, **how) as response:
        await response.read()
        return response.status


async def test_only_users_are_answered(tmp_path: Path) -> None:
    async with Files(tmp_path, **USERS).served() as (url, _):
        for path in SECRETS:
            assert [await status(url + path, headers=other) for other in OTHERS] == [401] * len(OTHERS)
        assert [await status(url + path, headers=US) for path in SECRETS] == [
            200,
            200,
            404,
            200,
            200,
            404,
            404,
            200,
            404,
        ]
        async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as response:
            assert response.headers["WWW-Authenticate"] == "Basic"
            assert "watchslo" not in await response.text()


async def test_the_hash_that_hides_who_exists_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "NOBODYS_HASH", HASH)
    async with Files(tmp_path, basic_auth_users={"somebody": HASH}).served() as (url, _):
        assert await status(f"{url}/metrics", headers=basic("nobody", PASSWORD)) == 401


async def test_probes_need_no_password_and_say_nothing_more_than_yes_or_no(tmp_path: Path) -> None:
    async with Files(tmp_path, **USERS).served(["pods: forbidden: a secret"]) as (url, _):
        for path in ("/livez", "/healthz"):
            assert await status(url + path) == 200
        for headers, text in (({}, "not ready\n"), (US, "pods: forbidden: a secret\n"), (OTHERS[1], "not ready\n")):
            async with aiohttp.ClientSession(headers=headers) as client, client.get(f"{url}/readyz") as response:
                assert (response.status, await response.text()) == (503, text)


@pytest.fixture
def hashing_threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which passwords were hashed, one for each time."""
    threads: list[threading.Thread] = []
    check = bcrypt.checkpw

    def checkpw(password: bytes, hashed_password: bytes) -> bool:
        threads.append(threading.current_thread())
        return check(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return threads


async def test_a_password_is_hashed_once_and_not_on_the_event_loop(
    tmp_path: Path, hashing_threads: list[threading.Thread]
) -> None:
    async with Files(tmp_path, **USERS).served() as (url, _):
        assert [await status(f"{url}/nothing", headers=US) for _ in range(4)] == [404] * 4
    (thread,) = hashing_threads
    assert thread is not threading.main_thread()


async def test_what_is_remembered_is_bounded_and_fitted(hashing_threads: list[threading.Thread]) -> None:
    passwords = Passwords()
    others = [bcrypt.hashpw(b"other", bcrypt.gensalt(rounds=4)).decode() for _ in range(MOST_REMEMBERED + 5)]
    for password_hash in others:
        assert await fit(passwords, "other", password_hash)
    assert len(passwords) == MOST_REMEMBERED
    for password_hash in others:
        assert not await fit(passwords, PASSWORD, password_hash)
    assert len(passwords) == 2 * MOST_REMEMBERED
    hashing_threads.clear()
    for _ in range(1000):
        assert not await fit(passwords, PASSWORD, others[-1])
    assert await fit(passwords, "other", others[-1]), "those who guess push out no user"
    assert not hashing_threads, "each is compared once"


async def test_who_waits_too_long_a_queue_is_sent_away_and_who_has_gone_is_not_compared(
    hashing_threads: list[threading.Thread],
) -> None:
    passwords, slow = Passwords(), bcrypt.hashpw(b"other", bcrypt.gensalt(rounds=11)).decode()
    is_there = True
    waiting = [
        asyncio.create_task(fit(passwords, f"{n}", slow, is_asked=lambda: is_there)) for n in range(MOST_WAITING + 1)
    ]
    await asyncio.sleep(0)  # one is being compared, and all others wait
    with pytest.raises(CrowdedError):
        await fit(passwords, PASSWORD, slow)
    is_there = False
    assert not any(await asyncio.gather(*waiting))
    assert len(hashing_threads) <= 1, "at most the one that had begun"
    assert len(passwords) <= 1
    assert await fit(passwords, "other", slow), "and then there is room"


async def test_who_guesses_keeps_nobody_elses_right_password_out(hashing_threads: list[threading.Thread]) -> None:
    """Not even for long: each client in its turn."""
    passwords = Passwords()
    guessing = [
        asyncio.create_task(fit(passwords, f"{n}", HASH, client=f"127.0.0.{n % 3}")) for n in range(MOST_WAITING + 1)
    ]
    await asyncio.sleep(0)
    assert await fit(passwords, PASSWORD, HASH, client="127.0.0.9")
    assert len(hashing_threads) <= 6, "of each that guesses one, and those that had begun"
    sent_away = [each for each in await asyncio.gather(*guessing, return_exceptions=True) if each is not False]
    assert [type(each) for each in sent_away] == [CrowdedError]
    hashing_threads.clear()
    assert await fit(passwords, PASSWORD, HASH, client="127.0.0.1"), "from now on it is known"
    assert not hashing_threads


async def test_a_client_that_goes_away_in_its_turn_holds_up_nobody() -> None:
    passwords = Passwords()
    tasks = [asyncio.create_task(fit(passwords, f"{n}", HASH, client=f"{n % 2}")) for n in range(8)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    one = asyncio.create_task(fit(passwords, "one", HASH))
    await asyncio.sleep(0)
    one.cancel()  # it has its turn
    async with asyncio.timeout(20):
        assert await fit(passwords, PASSWORD, HASH)


async def test_the_first_right_password_gets_through_while_sixty_guess(tmp_path: Path) -> None:
    """All from one address."""
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=8)).decode()
    async with Files(tmp_path, basic_auth_users={"prometheus": slow}).served() as (url, _):
        is_over = False

        async def guess(number: int) -> None:
            guesses = count()
            while not is_over:
                await status(f"{url}/metrics", headers=basic("prometheus", f"{number} {next(guesses)}"))

        guessing = [asyncio.create_task(guess(number)) for number in range(60)]
        await asyncio.sleep(0.5)
        assert [await status(f"{url}/metrics", headers=US) for _ in range(12)] == [200] * 12
        is_over = True
        await asyncio.gather(*guessing)


async def test_a_name_costs_as_much_whether_or_not_there_is_such_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[bytes] = []
    check = bcrypt.checkpw

    def checkpw(password: bytes, hashed_password: bytes) -> bool:
        costs.append(hashed_password[:7])
        return check(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with Files(tmp_path, **USERS).served() as (url, _):
        names = ["prometheus", *(f"nobody{n}" for n in range(5))]
        for name in names:
            assert await status(f"{url}/metrics", headers=basic(name, "guessed")) == 401
    assert costs == [b"$2b$04$"] * len(names), "each at the cost of the users, and none is known from another's"


async def test_headers_go_with_every_answer_and_ours_give_way(tmp_path: Path) -> None:
    said = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "deny", "X-XSS-Protection": ""}
    files = Files(tmp_path, http_server_config={"headers": said}, **USERS)
    async with files.served() as (url, _), aiohttp.ClientSession() as client:
        for path in ("/", "/metrics", "/livez", "/nothing-here"):
            for headers in (US, {}):
                async with client.get(url + path, headers=headers) as response:
                    assert response.headers["Content-Security-Policy"] == "default-src 'self'"
                    assert response.headers["X-Frame-Options"] == "deny"
                    assert "X-XSS-Protection" not in response.headers


def test_tokens_come_one_each_interval_up_to_the_burst() -> None:
    limit, bucket = RateLimit(interval="10s", burst="3"), Bucket()

    def taken(now: float) -> int:
        return sum(bucket.take(limit, now) for _ in range(10))

    assert [taken(now) for now in (100, 105, 110, 135, 1000, 1009.9)] == [3, 0, 1, 2, 3, 0]
    assert all(bucket.take(RateLimit(), 0) for _ in range(100)), "no interval is no limit"


async def test_beyond_the_limit_nobody_is_answered_but_probes(tmp_path: Path) -> None:
    async with Files(tmp_path, rate_limit={"interval": "1h", "burst": "3"}).served() as (url, _):
        assert [await status(f"{url}/metrics") for _ in range(5)] == [200, 200, 200, 429, 429]
        assert await status(f"{url}/livez") == 200


async def test_beyond_the_limit_a_probe_tells_nobody_whether_a_password_is_right(tmp_path: Path) -> None:
    files = Files(tmp_path, rate_limit={"interval": "1h", "burst": "1"}, **USERS)
    async with files.served(["a secret"]) as (url, _), aiohttp.ClientSession() as client:
        said = []
        for headers in (OTHERS[1], US):
            async with client.get(f"{url}/readyz", headers=headers) as response:
                said.append(await response.text())
    assert said == ["not ready\n"] * 2


async def test_a_session_that_began_under_another_authority_is_not_resumed(tmp_path: Path) -> None:
    files = Files(tmp_path, tls_server_config=VERIFIED)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = files.client("client")
        client.maximum_version = version
        async with files.served() as (url, _):
            port = int(url.rpartition(":")[2])
            session = await asyncio.to_thread(resumable, client, port, None)
            assert session is not None
            again = await asyncio.to_thread(resumable, client, port, session)
            assert again is not None or version is ssl.TLSVersion.TLSv1_2, "there is nothing to resume from 1.3 on"


def resumable(client: ssl.SSLContext, port: int, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """What a client could resume after one request; `session` is not resumed. None if it is turned away."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            client.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            assert not connection.session_reused
            return connection.session
    except (ssl.SSLError, ConnectionError):
        return None


async def test_tls_shows_the_certificate_and_refuses_what_is_too_old(tmp_path: Path) -> None:
    files = Files(tmp_path, tls_server_config={**TLS, "min_version": "TLS13"})
    async with files.served() as (url, _):
        trusting = files.authority.client_context()
        assert await status(f"{url}/metrics", ssl=trusting) == 200
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectorError):
            await status(f"{url}/metrics", ssl=trusting)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status(f"{url}/metrics")


@pytest.mark.parametrize("suite", ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"])
async def test_the_suites_that_are_named_are_used(tmp_path: Path, suite: str) -> None:
    files = Files(tmp_path, tls_server_config={**TLS, "cipher_suites": [suite], "curve_preferences": ["CurveP256"]})
    async with files.served() as (url, _):
        host, port = url.removeprefix("https://").split(":")
        old = files.authority.client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        if suite.startswith("TLS_AES"):  # all that is left is TLS 1.3
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(host, int(port), ssl=old)
        else:
            _, writer = await asyncio.open_connection(host, int(port), ssl=old)
            assert writer.get_extra_info("cipher")[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
            writer.close()


async def test_clients_need_a_certificate_with_an_allowed_name(tmp_path: Path) -> None:
    allowed = ["prometheus.monitoring.svc", "2001:db8::1"]
    files = Files(tmp_path, tls_server_config={**VERIFIED, "client_allowed_sans": allowed})
    async with files.served() as (url, _):
        named = files.client("named", "prometheus.monitoring.svc", addresses=())
        numbered = files.client("numbered", addresses=("2001:db8::1",))
        other = files.client("other", "elsewhere", "monitoring.svc", addresses=("10.0.0.1",))
        assert [await status(f"{url}/metrics", ssl=one) for one in (named, numbered, other)] == [200, 200, 403]
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await status(f"{url}/metrics", ssl=files.authority.client_context())


async def test_what_changes_in_the_files_holds_from_then_on(tmp_path: Path) -> None:
    files = Files(tmp_path, tls_server_config=VERIFIED, **USERS)
    client = files.client("client")
    async with files.served() as (url, served):
        assert await status(f"{url}/metrics", ssl=client, headers=US) == 200
        files.write(tls_server_config=VERIFIED, basic_auth_users={"other": HASH})
        await served.look()
        assert await status(f"{url}/metrics", ssl=client, headers=US) == 401
        assert await status(f"{url}/metrics", ssl=client, headers=basic("other", PASSWORD)) == 200

        # Another authority signs the server and its clients from now on.
        successor = Files(tmp_path, tls_server_config=VERIFIED)
        await served.look()
        assert await status(f"{url}/metrics", ssl=successor.client("client")) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status(f"{url}/metrics", ssl=client)


async def test_a_change_is_taken_over_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = Files(tmp_path, **USERS)
    async with files.served() as (_, served):
        for _ in range(3):
            await served.look()
        assert not caplog.records
        files.write(http_server_config={})
        for _ in range(3):
            await served.look()
        assert [record.getMessage() for record in caplog.records] == ["web configuration reloaded"]


async def test_a_client_authority_may_be_any_link_of_the_chain(tmp_path: Path) -> None:
    """As in Go; OpenSSL by itself wants the root."""
    files = Files(tmp_path, tls_server_config={**VERIFIED, "client_ca_file": "client.crt"})
    client, other = files.client("client"), files.client("other")
    async with files.served() as (url, _):
        assert await status(f"{url}/metrics", ssl=client) == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await status(f"{url}/metrics", ssl=other)


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"tls_server_config": TLS, "basic_auth_users": {"prometheus": "secret"}}, "not a bcrypt hash"),
        ({"tls_server_config": {**TLS, "min_version": "TLS13"}}, "needs a restart"),
        ({}, "needs a restart"),
        ({"tls_server_config": {**TLS, "cert_file": "nowhere"}}, "cannot be read"),
    ],
)
async def test_a_change_that_cannot_be_used_changes_nothing_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sections: dict[str, Any], reason: str
) -> None:
    files = Files(tmp_path, tls_server_config=TLS, **USERS)
    async with files.served() as (url, served):
        trusting = files.authority.client_context()
        files.write(**sections)
        for _ in range(3):
            await served.look()
        assert await status(f"{url}/metrics", ssl=trusting) == 401
        assert await status(f"{url}/metrics", ssl=trusting, headers=US) == 200
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [reason in record.fields["error"] for record in warnings] == [True]  # type: ignore[attr-defined]
        assert "secret" not in str(warnings[0].__dict__).replace("not a bcrypt", "")

        files.write(tls_server_config=TLS)
        await served.look()
        assert await status(f"{url}/metrics", ssl=trusting) == 200, "it has been mended"


async def test_what_could_not_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path, **USERS)
    async with files.served() as (url, served):
        with monkeypatch.context() as broken:
            broken.setattr("exporter.config.yaml_file.content_of", unreadable)
            files.write(http_server_config={})
            await served.look()
        assert await status(f"{url}/metrics") == 401
        await served.look()
        assert await status(f"{url}/metrics") == 200


def unreadable(_: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files")


async def shown(url: str) -> bytes:
    """The certificate that the server shows."""
    asking = ssl.create_default_context()
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=asking)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


def issued(folder: Path) -> bytes:
    """What it should be."""
    return ssl.PEM_cert_to_DER_cert((folder / "server.crt").read_text())


async def test_a_certificate_that_is_renewed_alone_is_shown(tmp_path: Path) -> None:
    files = Files(tmp_path, tls_server_config=TLS)
    async with files.served() as (url, served):
        first = issued(tmp_path)
        assert await shown(url) == first
        files.authority.issue("server")
        await served.look()
        assert await shown(url) == issued(tmp_path) != first


async def test_a_certificate_is_renewed_as_kubernetes_does_it(tmp_path: Path) -> None:
    """Secrets are mounted as links into a folder that is exchanged as a whole; meanwhile the key may not fit."""
    versions = [tmp_path / "first", tmp_path / "second"]
    for folder in versions:
        folder.mkdir()
        Files(folder, tls_server_config=TLS)
    data = tmp_path / "data"
    data.symlink_to(versions[0])
    for name in ("web.yaml", "server.crt", "server.key"):
        (tmp_path / name).symlink_to(data / name)
    files = WebFiles(tmp_path / "web.yaml")
    assert files.tls is not None
    runner = await http.serve(
        http.application(Metrics(1.0, 0.99, 60.0), list, list, files.access, page=page()),
        [ListenAddress("127.0.0.1", 0)],
        files.tls,
    )
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"

    async def shows_the_second() -> bool:
        return await shown(url) == issued(versions[1])

    following = asyncio.create_task(files.follow())
    assert await shown(url) == issued(versions[0])
    (tmp_path / "next").symlink_to(versions[1])
    (tmp_path / "next").rename(data)
    await wait_until(shows_the_second, "the second certificate is shown")
    following.cancel()
    await runner.cleanup()


@pytest.mark.parametrize(
    "test", [test_what_changes_in_the_files_holds_from_then_on, test_clients_need_a_certificate_with_an_allowed_name]
)
def test_the_same_on_the_loop_that_users_run(tmp_path: Path, test: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    """uvloop has a TLS of its own around OpenSSL."""
    loop.run(test(tmp_path))
