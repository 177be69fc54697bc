"""The content of --http.config.file: how commands with `--url` log in to a running exporter.

Its format is Prometheus' `http_config`, as `promtool --http.config.file` has it: basic_auth, authorization, tls_config.
Every refusal is a ValueError that completes a sentence which begins with the file's name; none quotes a secret.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec

from exporter.config.reading import content_of
from exporter.config.yaml_file import load_mapping
from exporter.wording.quoting import printable, quoted

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class BasicAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user of the exporter's web.config.file."""

    username: str
    password: str = ""
    password_file: str = ""


class Authorization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token, for an exporter with --web.auth-filter or for a proxy before it."""

    type: str = "Bearer"
    credentials: str = ""
    credentials_file: str = ""


class TLSConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to trust, and the certificate to show."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    """The name in the exporter's certificate, where it is not that of the URL."""

    insecure_skip_verify: bool = False


class HTTPConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the file; names of files are complete."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls_config: TLSConfig = TLSConfig()

    @property
    def has_secret(self) -> bool:
        """Whether a password or token is sent."""
        return self.basic_auth is not None or self.authorization is not None

    def headers(self) -> dict[str, str]:
        """What logs in. Files are read at each call, because tokens change; raises ValueError."""
        if (user := self.basic_auth) is not None:
            password = user.password or _secret(user.password_file)
            return {"Authorization": f"Basic {b64encode(f'{user.username}:{password}'.encode()).decode()}"}
        if (token := self.authorization) is not None:
            return {"Authorization": f"{token.type} {token.credentials or _secret(token.credentials_file)}"}
        return {}

    def context(self) -> ssl.SSLContext:
        """For clients. Reads the files; raises ValueError."""
        import ssl  # noqa: PLC0415 heavy, and most ask without TLS

        tls = self.tls_config
        try:
            context = ssl.create_default_context(cafile=tls.ca_file or None)
            if tls.cert_file:
                context.load_cert_chain(tls.cert_file, tls.key_file or None, password=_no_password)
        except OSError as error:
            files = " or ".join(quoted(one) for one in (tls.ca_file, tls.cert_file, tls.key_file) if one)
            raise ValueError(f"names {files}, which cannot be used: {printable(str(error))}") from None
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def check(self) -> None:
        """Raise ValueError for settings that do not fit together, or files that cannot be used."""
        if self.basic_auth is not None and self.authorization is not None:
            raise ValueError("has both basic_auth and authorization: one of them logs in")
        if (user := self.basic_auth) is not None and bool(user.password) == bool(user.password_file):
            raise ValueError("needs either a password or a password_file in basic_auth")
        if (token := self.authorization) is not None and bool(token.credentials) == bool(token.credentials_file):
            raise ValueError("needs either credentials or a credentials_file in authorization")
        if self.tls_config.key_file and not self.tls_config.cert_file:
            raise ValueError("has a key_file without a cert_file in tls_config")
        self.headers()
        self.context()


def read_http_config(path: Path) -> HTTPConfig:
    """What the file says, and the files that it names. Raises ValueError."""
    try:
        config = msgspec.convert(_with_folder(load_mapping(path), path.parent), HTTPConfig)
    except msgspec.ValidationError as error:
        raise ValueError(f"is not understood: {printable(str(error).replace('`', ''))}") from None
    config.check()
    return config


def _with_folder(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative names of files are relative to the file that has them; a key without a value counts as absent."""

    def completed(name: str, value: Any) -> Any:
        return str(folder / value) if name.endswith("_file") and isinstance(value, str) and value else value

    return {
        part: {name: completed(name, value) for name, value in inner.items() if value is not None}
        if isinstance(inner, dict)
        else inner
        for part, inner in content.items()
        if inner is not None
    }


def _secret(file: str) -> str:
    try:
        text = content_of(file).decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"names {quoted(file)}, which is not text") from None
    except OSError as error:
        raise ValueError(f"names {quoted(file)}, which cannot be read: {error.strerror}") from None
    if not text or not text.isprintable():
        raise ValueError(f"names {quoted(file)}, which has no password or token in one line")
    return text


def _no_password() -> str:
    """Asked for an encrypted key; without this OpenSSL would ask the terminal."""
    raise ValueError("has an encrypted key_file, which is not supported")
