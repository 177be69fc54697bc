"""What expires is renewed in time: no apiserver is asked with credentials of which we know that they are over."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.credentials.credentials import RENEWAL_PAUSE_SECONDS
from exporter.kubernetes.session import ApiSession, Server
from tests.credentials.certificates import ClientAuthority
from tests.support.configuring import exec_user, status, write_kubeconfig
from tests.support.waiting import wait_until

PLUGIN = """
import datetime, json, time
from pathlib import Path
here = Path(__file__).parent
with (here / "runs").open("a") as runs:
    runs.write("x")
said = json.loads((here / "plugin.json").read_text())
time.sleep(said.get("takes", 0))
if "fails" in said:
    raise SystemExit(said["fails"])
expires = time.time() + said["lasts"]
status = {"token": str(expires)}
for key in ("clientCertificateData", "clientKeyData"):
    if (here / key).exists():
        status = {**status, key: (here / key).read_text()}
if "clientKeyData" in status:
    del status["token"]
status["expirationTimestamp"] = datetime.datetime.fromtimestamp(expires, datetime.UTC).isoformat()
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""
LEEWAY_SECONDS = 0.5
"""A request may be on its way when its token expires."""


class Plugin:
    """A plugin that does what it was told last, and how often it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = exec_user(folder, PLUGIN)

    def does(self, **what: object) -> None:
        (self.folder / "plugin.json").write_text(json.dumps(what))

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text())


class Audited:
    """An apiserver that takes a token for what it says: the time when it expires."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    async def answer(self, request: web.Request) -> web.Response:
        expires = float(request.headers["Authorization"].removeprefix("Bearer "))
        self.statuses.append(200 if time.time() < expires + LEEWAY_SECONDS else 401)
        return web.Response(status=self.statuses[-1])


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


@pytest_asyncio.fixture
async def audited() -> AsyncIterator[tuple[Audited, str]]:
    audit, app = Audited(), web.Application()
    app.router.add_get("/{path:.*}", audit.answer)
    async with TestServer(app) as server:
        yield audit, str(server.make_url("")).rstrip("/")


def credentials_of(
    plugin: Plugin, url: str = "https://127.0.0.1:1", renewal_pause_seconds: float = RENEWAL_PAUSE_SECONDS
) -> Credentials:
    kubeconfig = write_kubeconfig(plugin.folder, url, user=plugin.user)
    return Credentials(CredentialsSource(kubeconfig), renewal_pause_seconds=renewal_pause_seconds)


async def test_a_token_of_a_plugin_is_renewed_before_it_expires(plugin: Plugin, audited: tuple[Audited, str]) -> None:
    audit, url = audited
    plugin.does(lasts=2.0)
    credentials = credentials_of(plugin, url)
    await credentials.load()
    session = ApiSession(Server(url, is_one_apiserver=True), credentials)

    async def ask() -> bool:
        await asyncio.gather(status(session), status(session))
        return plugin.runs == 4

    await wait_until(ask, "it is renewed again and again", timeout_seconds=60)
    await session.close()
    assert len(audit.statuses) > 20
    assert set(audit.statuses) == {200}


async def test_a_plugin_that_fails_matters_only_once_the_token_has_expired(
    plugin: Plugin, audited: tuple[Audited, str]
) -> None:
    audit, url = audited
    plugin.does(lasts=5.0)
    credentials = credentials_of(plugin, url, renewal_pause_seconds=0.3)
    await credentials.load()
    session = ApiSession(Server(url, is_one_apiserver=True), credentials)
    plugin.does(fails="log in\nfirst")
    credentials._held = replace(credentials._loaded, renews_at=time.time())
    assert await status(session) == 200
    assert plugin.runs == 2
    await asyncio.sleep(5.0)
    for _ in range(20):
        with pytest.raises(CredentialsError, match=r"^kubeconfig \S+: exec: the plugin \S+ ended with exit status 1: "):
            await status(session)
    assert plugin.runs < 10, "not for every request"
    assert audit.statuses == [200], "nobody is asked with a token that is over"
    plugin.does(lasts=60.0)

    async def is_accepted() -> bool:
        try:
            return await status(session) == 200
        except CredentialsError:
            return False

    await wait_until(is_accepted, "the plugin works again")
    await session.close()


async def test_nobody_waits_for_the_renewal_of_what_is_still_good(plugin: Plugin) -> None:
    plugin.does(lasts=600.0)
    credentials = credentials_of(plugin)
    await credentials.load()
    before = await credentials.headers()
    plugin.does(lasts=600.0, takes=3.0)
    credentials._held = replace(credentials._loaded, renews_at=time.time())
    renewing = asyncio.create_task(credentials.headers())
    await wait_until(lambda: plugin.runs == 2, "the plugin runs")
    assert await credentials.headers() == before
    assert not renewing.done()
    assert await renewing != before


async def test_a_certificate_of_a_plugin_is_renewed_before_it_expires(plugin: Plugin) -> None:
    authority = ClientAuthority(plugin.folder / "ca")

    def issue() -> None:
        files = (plugin.folder / "clientCertificateData", plugin.folder / "clientKeyData")
        authority.issue(*files, user="it", group="system:masters")

    issue()
    plugin.does(lasts=2.0)
    credentials = credentials_of(plugin)
    await credentials.load()
    first = credentials.ssl
    assert await credentials.headers() == {}
    issue()
    await wait_until(lambda: credentials._loaded.ends_soon, "it expires soon")
    await credentials.headers()
    assert credentials.generation == 2
    assert credentials.ssl is not first


async def test_what_is_over_from_the_start_is_left_to_the_apiserver(plugin: Plugin) -> None:
    plugin.does(lasts=-5.0)
    credentials = credentials_of(plugin)
    await credentials.load()
    for _ in range(5):
        assert float((await credentials.headers())["Authorization"].removeprefix("Bearer ")) < time.time()
    assert plugin.runs == 1


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, r"exec: the plugin gave neither a token nor a certificate with its key"),
        ({"clientCertificateData": "one"}, r"exec: the plugin gave neither a token nor a certificate with its key"),
        ({"token": "one", "expirationTimestamp": "soon"}, r"exec: the plugin's expirationTimestamp is not a time"),
    ],
    ids=["nothing", "no key", "no time"],
)
async def test_what_makes_no_sense_is_one_sentence(said: dict[str, str], message: str, tmp_path: Path) -> None:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": said}
    user = exec_user(tmp_path, f"print('''{json.dumps(answer)}''')")
    with pytest.raises(CredentialsError, match=rf"^kubeconfig \S+: {message}$"):
        await Credentials(CredentialsSource(write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=user))).load()


async def test_the_file_of_a_token_is_read_again_before_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.credentials.kubeconfig.TOKEN_FILE_SECONDS", 0.0)
    (tmp_path / "token").write_text("first")
    kubeconfig = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user={"tokenFile": "token"})
    credentials = Credentials(CredentialsSource(kubeconfig))
    await credentials.load()
    (tmp_path / "token").write_text("second\n")
    assert await credentials.headers() == {"Authorization": "Bearer second"}
    (tmp_path / "token").unlink()
    assert await credentials.headers() == {"Authorization": "Bearer second"}
