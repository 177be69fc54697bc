"""What cannot be loaded is one sentence that names the file."""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.credentials import Credentials, CredentialsError, CredentialsSource
from tests.support.configuring import write_kubeconfig

SERVER = "https://127.0.0.1:1"
USER = {"token": "token"}


async def refusal(credentials: Credentials) -> str:
    with pytest.raises(CredentialsError) as raised:
        await credentials.load()
    message = str(raised.value)
    assert message.splitlines() == [message]
    return message


async def test_no_kubeconfig_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a:{tmp_path}/b")
    message = await refusal(Credentials(CredentialsSource(service_account=tmp_path)))
    assert message == f"no credentials: this is no Pod, and there is no kubeconfig at {tmp_path}/a:{tmp_path}/b"
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    message = await refusal(Credentials(CredentialsSource(service_account=tmp_path)))
    assert message == "no credentials: this is no Pod, and there is no kubeconfig at ~/.kube/config"


def test_a_user_without_a_home_is_refused_like_any_other(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path, SERVER, user=USER)
    code = "import pwd, sys; pwd.getpwuid = {}.__getitem__; from exporter.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "check", "--kubeconfig", str(kubeconfig), "--context", "other"]
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    ended = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith('watchslo: error: --context: "other" is not among the contexts of kubeconfig ')


async def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user=USER)
    message = await refusal(Credentials(CredentialsSource(path, "other")))
    assert message == f'--context: "other" is not among the contexts of kubeconfig {path}: it'
    named = json.loads(path.read_text())
    named["contexts"] = [{**named["contexts"][0], "name": name} for name in ("kind-dev", "prod", "a\nb")]
    path.write_text(json.dumps(named))
    assert await refusal(Credentials(CredentialsSource(path, "kind-de"))) == (
        f'--context: "kind-de" is not among the contexts of kubeconfig {path}: kind-dev, prod, a\\nb, '
        'did you mean "kind-dev"?'
    )
    assert await refusal(Credentials(CredentialsSource(path))) == (
        f'kubeconfig {path}: has no context "it", its current-context: name one with --context: kind-dev, prod, a\\nb'
    )
    del named["current-context"]
    named["contexts"] = [{**named["contexts"][0], "name": f"c{number}"} for number in range(12)]
    path.write_text(json.dumps(named))
    assert await refusal(Credentials(CredentialsSource(path))) == (
        f"kubeconfig {path}: has no current-context: name one with --context: "
        "c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more"
    )
    del named["contexts"]
    path.write_text(json.dumps(named))
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: has no contexts"


@pytest.mark.parametrize(
    ("provider", "sentence"),
    [
        (
            {"name": "gcp", "config": {"cmd-path": "gcloud"}},
            (
                'the auth-provider "gcp" is gone from Kubernetes: use the exec plugin gke-gcloud-auth-plugin, which '
                "`gcloud container clusters get-credentials` writes down"
            ),
        ),
        (
            {"name": "azure"},
            (
                'the auth-provider "azure" is gone from Kubernetes: use the exec plugin kubelogin, which '
                "`kubelogin convert-kubeconfig` writes down"
            ),
        ),
        ({"name": "openstack"}, 'the auth-provider "openstack" is gone from Kubernetes: use an exec plugin'),
        (
            {"name": "oidc", "config": {"client-id": "it"}},
            (
                'the auth-provider "oidc": its id-token is missing or has expired; '
                "the exec plugin kubelogin (kubectl oidc-login) renews such tokens by itself"
            ),
        ),
    ],
    ids=["gcp", "azure", "openstack", "oidc"],
)
async def test_an_auth_provider_says_what_to_use_instead(
    provider: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user={"auth-provider": provider})
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: {sentence}"


async def test_an_oidc_token_that_is_good_is_used(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 3600}).encode()).decode().rstrip("=")
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": f"head.{claims}.signature"}}}
    credentials = Credentials(CredentialsSource(write_kubeconfig(tmp_path, SERVER, user=user)))
    await credentials.load()
    assert await credentials.headers() == {"Authorization": f"Bearer head.{claims}.signature"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "while parsing a flow node"),
        ("", "is not a complete kubeconfig"),
        ("hello", "is not a complete kubeconfig"),
        ("\x00", "unacceptable character"),
        ("clusters: 5", "is not a complete kubeconfig"),
    ],
    ids=["broken YAML", "empty", "text", "binary", "wrong types"],
)
async def test_a_kubeconfig_that_is_none(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message.startswith(f"kubeconfig {path}: ")
    assert complaint in message


async def test_a_kubeconfig_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(b"\xff\xfe\xfd")
    assert "can't decode byte" in await refusal(Credentials(CredentialsSource(tmp_path / "kubeconfig")))


async def test_a_missing_authority_or_certificate(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user=USER, cluster={"certificate-authority": "no.crt"})
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message == f"kubeconfig {path}: File does not exists: {tmp_path}/no.crt"
    path = write_kubeconfig(tmp_path, SERVER, user={"client-certificate": "user.crt", "client-key": "user.key"})
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message == f"kubeconfig {path}: File does not exists: {tmp_path}/user.crt"


async def test_an_authority_that_is_no_certificate(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user=USER, authority=b"no certificate")
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message == f"kubeconfig {path}: the certificate authority is no certificate in PEM"


async def test_a_client_certificate_that_is_none(tmp_path: Path) -> None:
    for name in ("user.crt", "user.key"):
        (tmp_path / name).write_text("no certificate")
    path = write_kubeconfig(tmp_path, SERVER, user={"client-certificate": "user.crt", "client-key": "user.key"})
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message == f"kubeconfig {path}: the client certificate and its key are no matching pair in PEM"


async def test_a_missing_token_file(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user={"tokenFile": "token"})
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message == f"kubeconfig {path}: {tmp_path}/token: No such file or directory"


async def test_a_token_of_two_lines_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user={"token": "two\nlines"})
    credentials = Credentials(CredentialsSource(path))
    await credentials.load()
    with pytest.raises(CredentialsError, match=r"^kubeconfig \S+: the token is more than one line$"):
        await credentials.headers()


HAS_A_USER = "has a user in its URL: kubeconfigs have users of their own"
IS_NO_URL = "is no URL: write https://host:port"
SERVERS = {
    "https://me:s3cret@127.0.0.1:1": f'"https://...@127.0.0.1:1" {HAS_A_USER}',
    "https://me:s3cret@[": f'"https://...@[" {HAS_A_USER}',
    "https://me:s3c/r#t?@127.0.0.1:99999": f'"https://...@127.0.0.1:99999" {HAS_A_USER}',
    "me:s3cret@127.0.0.1": f'"...@127.0.0.1" {HAS_A_USER}',
    "https://127.0.0.1:1/\u202e": f'"https://127.0.0.1:1/\\u202e" {IS_NO_URL}',
    "https://127.0.0.1:1\n": f'"https://127.0.0.1:1\\n" {IS_NO_URL}',
    f"https://{'a' * 70}:1": f'"https://{"a" * 70}:1" {IS_NO_URL}',
    **{
        server: f'"{server}" {IS_NO_URL}'
        for server in (
            "",
            "127.0.0.1:6443",
            "//127.0.0.1:6443",
            "https:127.0.0.1",
            "ftp://127.0.0.1",
            "https://:6443",
            "https://[",
            "https://[::1",
            "https://[foo]:1",
            "https://foo]bar:1",
            "https://..:1",
            "https://%31:1",
            "https://a b:1",
            " https://127.0.0.1:1",
            "https://127.0.0.1 :1",
            "https://127.0.0.1:0",
            "https://127.0.0.1:-1",
            "https://127.0.0.1:99999",
            "https://127.0.0.1:port",
            "https://127.0.0.1:1?x=y",
            "https://127.0.0.1:1/?x=y",
            "https://127.0.0.1:1#x",
        )
    },
}


@pytest.mark.parametrize(("server", "said"), SERVERS.items())
async def test_a_server_that_cannot_be_asked(server: str, said: str, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, server, user=USER)
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: the server {said}"


@pytest.mark.parametrize("server", [5, ["https://127.0.0.1"], {"s3cret": 1}, True])
async def test_a_server_that_is_no_text(server: Any, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, server, user=USER)
    assert await refusal(Credentials(CredentialsSource(path))) == f"kubeconfig {path}: is not a complete kubeconfig"


@pytest.mark.parametrize("name", ["a..b", "a b", f"{'a' * 70}", 5, ["a"]])
async def test_a_tls_server_name_that_is_none(name: Any, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, SERVER, user=USER, cluster={"tls-server-name": name})
    message = await refusal(Credentials(CredentialsSource(path)))
    assert message.startswith(f'kubeconfig {path}: tls-server-name: "')
    assert message.endswith('" is not a server name as in a certificate')


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:1/k8s/clusters/c-x1", "HTTPS://LocalHost:1/", "https://[::1]:1", "http://localhost"]
)
async def test_a_server_that_can_be_asked(server: str, tmp_path: Path) -> None:
    credentials = Credentials(CredentialsSource(write_kubeconfig(tmp_path, server, user=USER)))
    await credentials.load()
    assert credentials.server_url == server.rstrip("/")


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1", "99999"),
        ("127.0.0.1", "nonsense"),
        ("foo]bar", "443"),
        ("me:s3cret@127.0.0.1", "443"),
        ("a b", "1"),
    ],
)
async def test_a_pod_whose_environment_names_no_server(
    host: str, port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("token")
    (tmp_path / "ca.crt").write_text("authority")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    message = await refusal(Credentials(CredentialsSource(service_account=tmp_path)))
    assert message.startswith("in-cluster credentials: the server ")
    assert message.endswith((IS_NO_URL, HAS_A_USER))
    assert "s3cret" not in message


@pytest.mark.parametrize("command", ["run", "measure", "check"])
def test_every_command_says_it_in_one_line(command: str, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path, "https://127.0.0.1:99999", user=USER)
    words = [sys.executable, "-m", "exporter", command, "--kubeconfig", str(kubeconfig)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    sentence = f'kubeconfig {kubeconfig}: the server "https://127.0.0.1:99999" {IS_NO_URL}'
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"watchslo: error: {sentence}\n")
