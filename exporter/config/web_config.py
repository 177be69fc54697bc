"""The content of --web.config.file: TLS, users, rate limit and headers.

Its format is that of Prometheus' exporter-toolkit, docs/web-configuration.md there. Every refusal is a ValueError that
completes a sentence which begins with the file's name; none quotes a secret. Nothing listens here.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from exporter.config.yaml_file import load_mapping
from exporter.wording.quoting import printable, quoted

if TYPE_CHECKING:
    from pathlib import Path

_Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
_ClientAuth: TypeAlias = Literal[
    "",
    "NoClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "RequireClientCert",
]

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_VERIFY_MODES = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

# Go's names are IANA's, OpenSSL has its own. Those of TLS 1.3 are not for anybody to choose, there as here.
_CIPHER_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_CIPHER_SUITES_OF_TLS13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Each that may be set, with the values that it may have; any, if none are named."""

# The salt's last letter holds two bits of it and four that are nothing: what sets those never fits anything.
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_HASH = re.compile(r"""(?<! - at )\$[^\s"']+""")
"""One that stands where it does not belong, or what is left of one. Where it stands is told after " - at "."""
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class TLSServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which certificate to show, whose to ask for, and how to encrypt; file names are as the file says them."""

    cert_file: str = ""
    key_file: str = ""
    cert: str = ""
    key: str = ""
    client_ca_file: str = ""
    client_ca: str = ""
    client_auth_type: _ClientAuth = ""
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: _Version = "TLS12"
    max_version: _Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def is_enabled(self) -> bool:
        """Whether there is TLS at all."""
        files = (self.cert_file, self.key_file, self.client_ca_file)
        return any((*files, self.cert, self.key, self.client_ca, self.client_auth_type))

    def check(self) -> None:
        """Raise ValueError for settings that do not fit together, or that are not supported."""
        if self.cert or self.key:
            raise ValueError("contains a certificate or key inline: use cert_file and key_file instead")
        if self.is_enabled and not (self.cert_file and self.key_file):
            raise ValueError("needs both cert_file and key_file for TLS")
        self._check_clients()
        self._check_algorithms()

    def _check_clients(self) -> None:
        if self.client_auth_type not in _VERIFY_MODES:
            verifies_nothing = f"has the client_auth_type {self.client_auth_type}, which verifies no certificate"
            raise ValueError(f"{verifies_nothing}: use RequireAndVerifyClientCert")
        is_asked_for = _VERIFY_MODES[self.client_auth_type] != ssl.CERT_NONE
        if is_asked_for != bool(self.client_ca_file or self.client_ca):
            raise ValueError("needs both a client_auth_type that verifies and a client_ca_file, or neither of them")
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("has client_allowed_sans, which needs client_auth_type RequireAndVerifyClientCert")

    def _check_algorithms(self) -> None:
        for suite in self.cipher_suites:
            if suite not in _CIPHER_SUITES and suite not in _CIPHER_SUITES_OF_TLS13:
                raise ValueError(f"has the cipher suite {quoted(suite)}, which is not one of Go's secure cipher suites")
        for curve in self.curve_preferences:
            if curve not in _CURVES:
                raise ValueError(f"has the curve {quoted(curve)}: there are {', '.join(_CURVES)}")
        if len(self.curve_preferences) > 1:
            raise ValueError("has several curve_preferences: Python supports one")
        if _VERSIONS[self.min_version] > _VERSIONS[self.max_version]:
            raise ValueError(f"has the min_version {self.min_version} above the max_version {self.max_version}")

    def context(self, folder: Path) -> ssl.SSLContext:
        """For servers. Reads the files, in `folder` where their names are relative; raises ValueError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.verify_mode = _VERIFY_MODES[self.client_auth_type]
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Go: a client CA may be an intermediate one
        context.set_alpn_protocols(["http/1.1"])
        # A session that is resumed is verified by what held when it began.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        if self.prefer_server_cipher_suites:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        else:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if self.cipher_suites:
            suites = [_CIPHER_SUITES[suite] for suite in self.cipher_suites if suite in _CIPHER_SUITES]
            # With none for TLS 1.2 nothing but TLS 1.3 is left.
            context.set_ciphers(":".join(suites) or "ECDHE-ECDSA-AES128-GCM-SHA256")
            if not suites:
                context.minimum_version = ssl.TLSVersion.TLSv1_3
        for curve in self.curve_preferences:
            context.set_ecdh_curve(_CURVES[curve])
        self._load_files(context, folder)
        return context

    def _load_files(self, context: ssl.SSLContext, folder: Path) -> None:
        for name in ("cert_file", "key_file", "client_ca_file"):
            if getattr(self, name):
                _try_to_read(name, folder / getattr(self, name))
        try:
            context.load_cert_chain(folder / self.cert_file, folder / self.key_file, password=_no_password)
        except OSError as error:
            raise ValueError(f"has a cert_file and key_file that cannot be used: {_reason(error)}") from None
        if context.verify_mode != ssl.CERT_NONE:
            try:
                context.load_verify_locations(
                    cafile=folder / self.client_ca_file if self.client_ca_file else None, cadata=self.client_ca or None
                )
            except OSError as error:
                raise ValueError(f"has no usable client CA certificate: {_reason(error)}") from None


class HTTPServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Headers of every answer. HTTP/2 is never offered, whatever the file says."""

    http2: bool = True
    headers: dict[str, str] = {}

    def check(self) -> None:
        """Raise ValueError for a header that may not be set, or not so."""
        for name, value in self.headers.items():
            if name not in _HEADERS:
                raise ValueError(f"has the header {quoted(name)}: there are {', '.join(_HEADERS)}")
            if value and _HEADERS[name] and value not in _HEADERS[name]:
                raise ValueError(f"has the header {name} with {quoted(value)}: it may be {' or '.join(_HEADERS[name])}")
            if not value.isprintable():
                raise ValueError(f"has the header {name} with a value that is not printable")


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket."""

    interval: str = "0"
    burst: str = "0"

    @property
    def interval_seconds(self) -> float:
        """Seconds until there is one token more; 0 is no limit. Raises ValueError."""
        if self.interval == "0":
            return 0.0
        parts = _DURATION.findall(self.interval)
        if not parts or "".join(map("".join, parts)) != self.interval:
            raise ValueError(f"has the rate_limit interval {quoted(self.interval)}: write it like 100ms or 1m30s")
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)

    @property
    def most_tokens(self) -> int:
        """The burst. Raises ValueError."""
        if not (self.burst.isascii() and self.burst.isdecimal()):
            raise ValueError(f"has the rate_limit burst {quoted(self.burst)}: it is a whole number")
        return int(self.burst)

    def check(self) -> None:
        """Raise ValueError for a limit that refuses everything, or that has no effect."""
        if self.interval_seconds and self.most_tokens < 1:
            raise ValueError("has a rate_limit whose burst is not at least 1: it would refuse every request")
        if self.most_tokens and not self.interval_seconds:
            raise ValueError("has a rate_limit with a burst but no interval: it would have no effect")


class WebConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the file."""

    tls_server_config: TLSServerConfig = TLSServerConfig()
    http_server_config: HTTPServerConfig = HTTPServerConfig()
    basic_auth_users: dict[str, str] = {}
    """Hashes of passwords, by bcrypt."""

    rate_limit: RateLimit = RateLimit()

    def check(self) -> None:
        """Raise ValueError for an invalid configuration."""
        self.tls_server_config.check()
        self.http_server_config.check()
        self.rate_limit.check()
        for user, password_hash in self.basic_auth_users.items():
            if ":" in user or "$" in user:
                # It is not quoted: it may be a hash that has lost the space before it.
                raise ValueError("has a user name that contains a colon or a dollar sign")
            if not _BCRYPT.fullmatch(password_hash):
                raise ValueError(
                    f"has a password of {quoted(user)} that is not a bcrypt hash: create one with htpasswd -nBC 10"
                )


def read_web_config(path: Path) -> WebConfig:
    """What the file says. Raises ValueError. Certificates are not looked at: `TLSServerConfig.context` does."""
    try:
        content: Any = load_mapping(path)
        config = msgspec.convert(_without_nulls(content), WebConfig)
        config.check()
    except msgspec.ValidationError as error:
        raise ValueError(
            _HASH.sub("(a hash)", f"is not understood: {printable(str(error).replace('`', ''))}")
        ) from None
    except ValueError as error:
        raise ValueError(_HASH.sub("(a hash)", printable(str(error)))) from None
    return config


def _without_nulls(content: Any) -> Any:
    """A key without a value counts as absent, as in Go; but a user without a password is kept, and refused later."""
    if not isinstance(content, dict):
        return content
    kept = {key: _without_nulls(value) for key, value in content.items() if value is not None}
    if isinstance(users := content.get("basic_auth_users"), dict):
        kept["basic_auth_users"] = {user: "" if value is None else value for user, value in users.items()}
    return kept


def _try_to_read(name: str, file: Path) -> None:
    try:
        if file.exists() and not file.is_file():
            raise ValueError(f"names the {name} {quoted(str(file))}, which is not a file")
        file.read_bytes()
    except OSError as error:
        raise ValueError(f"names the {name} {quoted(str(file))}, which cannot be read: {error.strerror}") from None


def _no_password() -> str:
    """Asked for an encrypted key; without this OpenSSL would ask the terminal."""
    raise ValueError("has an encrypted key_file, which is not supported")


def _reason(error: OSError) -> str:
    """Of OpenSSL, or of a file that has gone since it was tried."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it contains no PEM").replace("_", " ").lower()
    return str(error.strerror)
