"""Where a token may go: over TLS, or to this machine; anywhere else only if somebody says so."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.config import flag_parser, load, read_flags
from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from exporter.kubernetes.session import ApiSession, Request, Server
from exporter.service.daemon import load_credentials
from tests.credentials.plugins import GOOD, SECRET
from tests.support.configuring import exec_user, write_kubeconfig
from tests.support.door import Door
from tests.support.observing import config

AWAY = "http://127.0.0.1.example.com:8080"
"""A name that nobody has."""

TOKEN = {"token": SECRET}
PASSWORD = {"username": "me", "password": SECRET}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def refusal(kubeconfig: Path, url: str) -> str:
    return (
        f'kubeconfig {kubeconfig}: the token, or password, would go to "{url}" without TLS, for others to read: '
        "use https, or allow it with --allow-insecure-token"
    )


async def headers_to(url: str, folder: Path, *, allowed: bool = False, proxy: str | None = None) -> Mapping[str, str]:
    cluster = {"proxy-url": proxy} if proxy else {}
    path = write_kubeconfig(folder, "https://127.0.0.1:1", user=TOKEN, cluster=cluster)
    credentials = Credentials(CredentialsSource(path), allow_insecure_token=allowed)
    await credentials.load()
    return await credentials.headers(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://127.0.0.1:8080",
        "http://127.8.9.1",
        "http://[::1]:8080",
        "http://localhost:8080",
        "http://LOCALHOST",
    ],
)
async def test_over_tls_and_to_this_machine_it_may(url: str, tmp_path: Path) -> None:
    assert await headers_to(url, tmp_path) == {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "url",
    [
        AWAY,
        "http://192.0.2.1:8080",
        "http://[2001:db8::1]",
        "http://0.0.0.0",
        "http://localhost.example.com",
        "http://127.1",
        "HTTP://example.com",
    ],
)
async def test_anywhere_else_it_may_not_unless_that_is_allowed(url: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError) as raised:
        await headers_to(url, tmp_path)
    assert str(raised.value) == refusal(tmp_path / "kubeconfig", url)
    assert await headers_to(url, tmp_path, allowed=True) == {"Authorization": f"Bearer {SECRET}"}


async def test_a_proxy_elsewhere_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, proxy = "http://127.0.0.1:8080", "http://me:s3cret@example.com:3128"
    said = refusal(tmp_path / "kubeconfig", "http://...@example.com:3128")
    with pytest.raises(CredentialsError) as raised:
        await headers_to(here, tmp_path, proxy=proxy)
    assert str(raised.value) == said
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(CredentialsError) as raised:
        await headers_to(here, tmp_path)
    assert str(raised.value) == said
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    assert await headers_to(here, tmp_path)
    # Over TLS a proxy sees no more than the address.
    assert await headers_to("https://example.com", tmp_path, proxy=proxy)


@pytest.mark.parametrize("user", [TOKEN, PASSWORD, "exec", "tokenFile"])
async def test_it_is_refused_at_the_start_wherever_it_comes_from(user: object, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    users = {"exec": exec_user(tmp_path, GOOD), "tokenFile": {"tokenFile": "token"}}
    path = write_kubeconfig(tmp_path, AWAY, user=users[user] if isinstance(user, str) else user)  # type: ignore[arg-type]
    with pytest.raises(CredentialsError) as raised:
        await load_credentials(config("--kubeconfig", path))
    assert str(raised.value) == refusal(path, AWAY)
    await load_credentials(config("--kubeconfig", path, "--allow-insecure-token"))


async def test_an_apiserver_that_is_named_is_refused_at_the_start_as_well(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN)
    with pytest.raises(CredentialsError) as raised:
        await load_credentials(config("--kubeconfig", path, "--apiserver", AWAY))
    assert str(raised.value) == refusal(path, AWAY)


async def test_who_has_no_token_may_go_anywhere(tmp_path: Path) -> None:
    await load_credentials(config("--kubeconfig", write_kubeconfig(tmp_path, AWAY, user={})))


async def test_an_endpoint_that_is_found_is_told_no_token_before_it_is_connected_to(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "http://127.0.0.1:1", user=TOKEN)
    credentials = await load_credentials(config("--kubeconfig", path, "--apiserver.discover"))
    session = ApiSession(Server(AWAY, is_one_apiserver=True), credentials)
    with pytest.raises(CredentialsError) as raised:
        await session.send(Request("/version"))
    await session.close()
    assert str(raised.value) == refusal(path, AWAY)


@pytest.mark.parametrize("command", ["run", "measure", "check"])
def test_each_command_says_it_in_one_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_kubeconfig(tmp_path, AWAY, user=TOKEN)
    assert Door(capsys, monkeypatch).refusal(command, "--kubeconfig", str(path)) == refusal(path, AWAY)


def test_who_allows_it_is_warned() -> None:
    words = ["--allow-insecure-token"]
    loaded = load(read_flags("run", flag_parser("run", ""), words), {})
    assert loaded.warnings == (
        "--allow-insecure-token: the credentials' token is also sent to http:// addresses, where others can read it",
    )


async def test_addresses_that_are_found_need_certificates_that_are_verified(tmp_path: Path) -> None:
    careless = {"insecure-skip-tls-verify": True}
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN, cluster=careless)
    with pytest.raises(CredentialsError) as raised:
        await load_credentials(config("--kubeconfig", path, "--apiserver.discover"))
    assert str(raised.value) == (
        f"kubeconfig {path}: insecure-skip-tls-verify and --apiserver.discover exclude each other: "
        "what is sent to addresses that are found needs certificates that are verified"
    )
    await load_credentials(config("--kubeconfig", path))


async def test_a_kubeconfig_that_becomes_careless_is_not_loaded_again(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN)
    credentials = await load_credentials(config("--kubeconfig", path, "--apiserver.discover"))
    write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN, cluster={"insecure-skip-tls-verify": True})
    with pytest.raises(CredentialsError, match="exclude each other"):
        await credentials.load()
    assert await credentials.headers()


@pytest.mark.parametrize(
    ("proxy", "quoted"),
    [
        ("socks5://me:s3cret@127.0.0.1:1", "socks5://...@127.0.0.1:1"),
        ("http://me:s3cret@127.0.0.1:99999", "http://...@127.0.0.1:99999"),
        ("http://me:s3cret@[bad", "http://...@[bad"),
        ("http://me:s3/cret@127.0.0.1:1", "http://...@127.0.0.1:1"),
        ("me:s3cret@127.0.0.1:1", "...@127.0.0.1:1"),
        ("me:s3cret@", "...@"),
    ],
)
async def test_a_proxy_that_is_none_is_said_without_its_password(
    proxy: str, quoted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f'kubeconfig {tmp_path / "kubeconfig"}: the proxy "{quoted}" is no URL: write http://host:port'
    with pytest.raises(CredentialsError) as raised:
        await headers_to("https://127.0.0.1:1", tmp_path, proxy=proxy)
    assert str(raised.value) == said
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN)
    credentials = await load_credentials(config("--kubeconfig", path))
    session = ApiSession(Server("https://127.0.0.1:1", is_one_apiserver=True), credentials)
    with pytest.raises(CredentialsError) as raised:
        await session.send(Request("/version"))
    await session.close()
    assert str(raised.value) == said


async def test_a_kubeconfig_with_a_token_in_the_wrong_place_is_complained_of_without_it(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=TOKEN)
    path.write_text(path.read_text().replace('"user": {"token": "s3cret"}', '"token": "s3cret"'))
    with pytest.raises(CredentialsError) as raised:
        await Credentials(CredentialsSource(path)).load()
    assert str(raised.value) == f"kubeconfig {path}: Invalid kube-config file. Expected key user in users[name=it]"
