"""The file of --web.config.file: what it may say, and that Prometheus' own tool agrees."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.config.web_config import RateLimit, read_web_config
from tests.real.certificates import CertificateAuthority
from tests.real.tools import tool
from tests.support.door import Door

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
FILE = Path("web.yaml")
SERVER = {"cert_file": "server.crt", "key_file": "server.key"}
VERIFIED = {**SERVER, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}


@pytest.fixture(autouse=True)
def _certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    authority = CertificateAuthority(tmp_path)
    authority.issue("server")
    authority.issue("other")
    Path("ca.crt").write_bytes(authority.bundle)
    Path("none.crt").write_text("no certificate\n")
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", "server.key", "-out", "encrypted.key"],
        check=True,
        capture_output=True,
    )


def tls(**said: object) -> dict[str, Any]:
    return {"tls_server_config": said}


def headers(**said: str) -> dict[str, Any]:
    return {"http_server_config": {"headers": {name.replace("_", "-"): value for name, value in said.items()}}}


GOOD = {
    "a certificate": tls(**SERVER),
    "verified clients": tls(**VERIFIED),
    "some clients verified": tls(**{**VERIFIED, "client_auth_type": "VerifyClientCertIfGiven"}),
    "names of clients": tls(**VERIFIED, client_allowed_sans=["prometheus.monitoring.svc"]),
    "versions": tls(**SERVER, min_version="TLS13", max_version="TLS13"),
    "suites": tls(**SERVER, cipher_suites=["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"]),
    "a curve": tls(**SERVER, curve_preferences=["CurveP256"], prefer_server_cipher_suites=False),
    "nobody asked for a certificate": tls(**SERVER, client_auth_type="NoClientCert"),
    "users": {"basic_auth_users": {"prometheus": HASH, "no": HASH}},
    "headers": headers(X_Frame_Options="deny", Strict_Transport_Security="max-age=31536000"),
    "HTTP/2": {"http_server_config": {"http2": False}},
    "nothing behind a key": {"tls_server_config": None, "basic_auth_users": None},
}

BAD = {
    "a section that is none": ({"tls": {}}, "is not understood: Object contains unknown field tls"),
    "a word that is none": (
        tls(**SERVER, certfile="x"),
        "is not understood: Object contains unknown field certfile - at $.tls_server_config",
    ),
    "a list for a mapping": ({"basic_auth_users": ["a"]}, "is not understood: Expected object, got array - at"),
    "no key": (tls(cert_file="server.crt"), "needs both cert_file and key_file for TLS"),
    "no certificate there": (
        tls(cert_file="x.crt", key_file="server.key"),
        'names the cert_file "x.crt", which cannot',
    ),
    "no certificate in it": (
        tls(cert_file="none.crt", key_file="server.key"),
        "has a cert_file and key_file that cannot be used: it contains no pem",
    ),
    "a key of another": (
        tls(cert_file="server.crt", key_file="other.key"),
        "has a cert_file and key_file that cannot be used: key values mismatch",
    ),
    "a client CA for nothing": (
        tls(**SERVER, client_ca_file="ca.crt"),
        "needs both a client_auth_type that verifies and",
    ),
    "no client CA there": (tls(**{**VERIFIED, "client_ca_file": "x.crt"}), 'names the client_ca_file "x.crt", which'),
    "an unknown client_auth_type": (tls(**SERVER, client_auth_type="Please"), "is not understood: Invalid enum value"),
    "an unknown version": (tls(**SERVER, min_version="SSL3"), "is not understood: Invalid enum value 'SSL3'"),
    "an unknown suite": (tls(**SERVER, cipher_suites=["RC4"]), 'has the cipher suite "RC4", which is not one of'),
    "an unknown curve": (tls(**SERVER, curve_preferences=["P1"]), 'has the curve "P1": there are CurveP256, '),
    "an unknown header": (headers(Server="x"), 'has the header "Server": there are Content-Security-Policy, '),
    "a header's wrong value": (headers(X_Frame_Options="x"), 'has the header X-Frame-Options with "x": it may be deny'),
    "a user without a password": (
        {"basic_auth_users": {"me": None}},
        'has a password of "me" that is not a bcrypt hash: create one with htpasswd -nBC 10',
    ),
    "a word for a list": (
        tls(**VERIFIED, client_allowed_sans="null"),
        "is not understood: Expected array | null, got str - at $.tls_server_config.client_allowed_sans",
    ),
    "a password in clear": (
        {"basic_auth_users": {"me": "secret"}},
        'has a password of "me" that is not a bcrypt hash: create one with htpasswd -nBC 10',
    ),
}

# What the toolkit takes and we do not, each for a reason that the sentence says.
NOT_HERE = {
    "names of clients that need no certificate": (
        tls(**{**VERIFIED, "client_auth_type": "VerifyClientCertIfGiven"}, client_allowed_sans=["a"]),
        "has client_allowed_sans, which needs client_auth_type RequireAndVerifyClientCert",
    ),
    "a key in the file": (tls(cert="x", key="y"), "contains a certificate or key inline: use cert_file"),
    "certificates that nobody verifies": (
        tls(**SERVER, client_auth_type="RequireAnyClientCert"),
        "has the client_auth_type RequireAnyClientCert, which verifies no certificate: use RequireAndVerifyClientCert",
    ),
    "several curves": (
        tls(**SERVER, curve_preferences=["X25519", "CurveP256"]),
        "has several curve_preferences: Python",
    ),
    "an encrypted key": (
        tls(cert_file="server.crt", key_file="encrypted.key"),
        "has an encrypted key_file, which is not supported",
    ),
    "versions the wrong way round": (tls(**SERVER, min_version="TLS13", max_version="TLS12"), "has the min_version"),
    "a limit that answers nobody": ({"rate_limit": {"interval": "1s"}}, "has a rate_limit whose burst is not at least"),
    "a limit without unit": ({"rate_limit": {"interval": "5", "burst": "1"}}, 'has the rate_limit interval "5": write'),
    "a header of two lines": (
        headers(X_XSS_Protection="1\n2"),
        "has the header X-XSS-Protection with a value that is not",
    ),
    "a user with a colon": (
        {"basic_auth_users": {"a:b": HASH}},
        "has a user name that contains a colon or a dollar sign",
    ),
    "a hash that nothing fits": (
        {"basic_auth_users": {"me": HASH.replace("zoubF", "zovbF")}},
        'has a password of "me" that is not a bcrypt hash: create one with htpasswd -nBC 10',
    ),
    "a limit that limits nothing": ({"rate_limit": {"burst": "5"}}, "has a rate_limit with a burst but no interval"),
    "a limit of nothing": ({"rate_limit": {"interval": "", "burst": "5"}}, 'has the rate_limit interval "": write it'),
    "a burst that is none": ({"rate_limit": {"interval": "1s", "burst": "x"}}, 'has the rate_limit burst "x": it is a'),
    "a folder for a certificate": (tls(cert_file=".", key_file="server.key"), 'names the cert_file ".", which is no'),
}


def write(content: Mapping[str, Any]) -> None:
    FILE.write_text(json.dumps(content))


def agrees(promtool: Path) -> bool:
    """Whether Prometheus' tool takes the file."""
    return subprocess.run([promtool, "check", "web-config", FILE], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
def test_what_prometheus_takes_is_taken(door: Door, content: dict[str, Any]) -> None:
    write(content)
    # The kubeconfig is refused after the file was accepted.
    sentence = door.refusal("run", "--web.config.file", str(FILE), "--kubeconfig", str(FILE))
    assert "--web.config.file" not in sentence
    assert agrees(tool("promtool"))


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD.keys())
def test_what_prometheus_refuses_is_refused_in_one_sentence(door: Door, content: dict[str, Any], reason: str) -> None:
    write(content)
    assert door.refusal("run", "--web.config.file", str(FILE)).startswith(f'--web.config.file: "web.yaml" {reason}')
    assert not agrees(tool("promtool"))


@pytest.mark.parametrize(("content", "reason"), NOT_HERE.values(), ids=NOT_HERE.keys())
def test_what_cannot_be_done_here_is_refused_in_one_sentence(door: Door, content: dict[str, Any], reason: str) -> None:
    write(content)
    assert door.refusal("run", "--web.config.file", str(FILE)).startswith(f'--web.config.file: "web.yaml" {reason}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2\n", "has a duplicate key in line 2"),
        (f"basic_auth_users: {{prometheus:{HASH}}}\n", "has a user name that contains a colon or a dollar sign"),
        (f"prometheus: {HASH}\n", "is not understood: Object contains unknown field prometheus"),
        (f"{HASH}: prometheus\n", "is not understood: Object contains unknown field (a hash)"),
        (
            f"rate_limit: {{interval: 1s, burst: {HASH}}}\n",
            'has the rate_limit burst "(a hash)": it is a whole number',
        ),
        (
            'rate_limit: {"a\\u202E\\r": 1}\n',
            "is not understood: Object contains unknown field a\\u202e\\r - at $.rate_limit",
        ),
        (
            "\n".join(
                ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
                + [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in ("ab", "bc", "cd", "de")]
            ),
            "is not usable YAML: it has more than 10000 values",
        ),
        ("[a]: 1\n", "has a key that is not text in line 1"),
        ("a: &a [*a]\n", "is not usable YAML: an alias contains itself"),
    ],
)
def test_what_is_not_that_kind_of_yaml_is_refused_in_one_sentence(door: Door, text: str, reason: str) -> None:
    FILE.write_text(text)
    assert door.refusal("run", "--web.config.file", str(FILE)) == f'--web.config.file: "web.yaml" {reason}'


def test_words_stay_as_they_are_written() -> None:
    """YAML's own types would turn a user called `no` into False, and 0 into a number."""
    FILE.write_text(
        f"basic_auth_users:\n  no: {HASH}\n  12: {HASH}\nhttp_server_config: {{headers: {{X-XSS-Protection: 0}}}}\n"
    )
    config = read_web_config(FILE)
    assert set(config.basic_auth_users) == {"no", "12"}
    assert config.http_server_config.headers == {"X-XSS-Protection": "0"}


@pytest.mark.parametrize(
    ("interval", "seconds"), [("0", 0), ("100ms", 0.1), ("1m30s", 90), ("1.5s", 1.5), ("2h", 7200), ("0s", 0)]
)
def test_durations_are_go_s(interval: str, seconds: float) -> None:
    assert RateLimit(interval=interval, burst="1").interval_seconds == pytest.approx(seconds)
