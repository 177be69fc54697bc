"""How commands with `--url` log in."""

import re
import ssl
from base64 import b64decode
from pathlib import Path

import pytest

from exporter.config.http_config import read_http_config
from tests.real.certificates import CertificateAuthority


def written(folder: Path, text: str) -> Path:
    file = folder / "http.yaml"
    file.write_text(text)
    return file


def test_a_password_and_a_token_stand_in_the_file_or_in_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden\n")
    for said in ("password: hidden", "password_file: secret"):
        config = read_http_config(written(tmp_path, f"basic_auth: {{username: me, {said}}}"))
        kind, _, told = config.headers()["Authorization"].partition(" ")
        assert (kind, b64decode(told)) == ("Basic", b"me:hidden")
        assert config.has_secret
    for said in ("credentials: hidden", "credentials_file: secret, type: Bearer"):
        config = read_http_config(written(tmp_path, f"authorization: {{{said}}}"))
        assert config.headers() == {"Authorization": "Bearer hidden"}
    (tmp_path / "secret").write_text("another")
    assert config.headers() == {"Authorization": "Bearer another"}, "tokens change"


def test_whom_to_trust(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(CertificateAuthority(tmp_path).bundle)
    config = read_http_config(written(tmp_path, "tls_config: {ca_file: ca.crt, server_name: watchslo.example.com}"))
    assert not config.has_secret
    assert config.headers() == {}
    assert len(config.context().get_ca_certs()) == 1
    unsafe = read_http_config(written(tmp_path, "tls_config: {insecure_skip_verify: true}")).context()
    assert unsafe.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("basic_auth: {username: me, password: a}\nauthorization: {credentials: b}", "has both basic_auth and"),
        ("basic_auth: {username: me}", "needs either a password or a password_file"),
        ("basic_auth: {username: me, password: hidden, password_file: secret}", "needs either a password or a"),
        ("basic_auth: {password: hidden}", "missing required field username"),
        ("authorization: {}", "needs either credentials or a credentials_file"),
        ("authorization: {credentials_file: nowhere}", 'nowhere", which cannot be read: No such file'),
        ("authorization: {credentials_file: empty}", "which has no password or token in one line"),
        ("authorization: {credentials_file: .}", "is not a file"),
        ("tls_config: {key_file: empty}", "has a key_file without a cert_file"),
        ("tls_config: {ca_file: nowhere}", 'nowhere", which cannot be used'),
        ("tls_config: {cert_file: empty}", 'empty", which cannot be used'),
        ("bearer_token: hidden", "unknown field bearer_token"),
        ("tls_config: {insecure_skip_verify: perhaps}", "is not understood"),
        ("- a", "is not a YAML mapping"),
    ],
)
def test_what_is_no_login_gets_one_sentence_without_secrets(tmp_path: Path, text: str, refusal: str) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "secret").write_text("hidden")
    with pytest.raises(ValueError, match=re.escape(refusal)) as refused:
        read_http_config(written(tmp_path, text))
    assert "hidden" not in str(refused.value)
    assert "\n" not in str(refused.value)
