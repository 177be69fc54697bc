"""Parsers from text to value, one function per kind of value: flags, environment and file all use these.

A refusal is a ValueError whose message completes the sentence that begins with the quoted text: `is not ...`.
A parser does not know which setting a text is for.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.config.names import is_dns_label, is_dns_subdomain, is_host_name, is_ipv6
from exporter.config.yaml_file import compose_mapping

if TYPE_CHECKING:
    from exporter.config.http_config import HTTPConfig

_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]*)?|\.[0-9]+){unit})?" for unit in ("w", "d", "h", "m", "s", "ms"))
)
"""As Prometheus writes them: the longest unit first, each once."""

_UNIT_SECONDS = {"w": "604800", "d": "86400", "h": "3600", "m": "60", "s": "1", "ms": "0.001"}
_SECONDS_PER_DAY = 86_400
_MOST_POLLS_HZ = 1_000
_LIKELY_PERCENT = 50
_URL = re.compile(r"(?P<scheme>https?)://(\[(?P<ipv6>[^\]]+)\]|(?P<host>[^/:?#@\[\]]+))(:(?P<port>[0-9]{1,5}))?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANNOTATION_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?", re.IGNORECASE)
_GLOB = re.compile(r"[a-z0-9.*?-]+")
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def listed(text: str) -> tuple[str, ...]:
    """The items of a list with commas, without empty ones."""
    return tuple(part for item in text.split(",") if (part := item.strip()))


def _plain(text: str) -> float | None:
    """A finite or too large decimal number; None if the text is none."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def _with_percent(text: str) -> float | None:
    percentage = _plain(text.removesuffix("%"))
    if percentage is None or not text.endswith("%") or percentage > 100:
        return percentage
    # In decimals: 99.9 / 100 is not 0.999 in binary ones.
    return float(Decimal(text[:-1]) / 100)


def _in_seconds(text: str) -> float | None:
    if text and (match := _DURATION.fullmatch(text)):
        amounts = match.groupdict(default="0").items()
        return float(sum(Decimal(amount) * Decimal(_UNIT_SECONDS[unit]) for unit, amount in amounts))
    return _plain(text)


def _number(
    description: str, accepts: Callable[[float], bool], read: Callable[[str], float | None] = _plain
) -> Callable[[str], float]:
    """Parser of finite numbers; every `accepts` has an upper bound, which also keeps infinity out."""

    def parse(text: str) -> float:
        number = read(text)
        if number is not None and accepts(number):
            return number
        raise ValueError(f"is not {description}")

    return parse


def _duration(description: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """Parser of seconds, with units or without."""
    return _number(f"a duration {description}: write 1.5, 500ms or 1m30s", accepts, _in_seconds)


_some_ratio = _number(
    "a ratio between 0 and 1 (both excluded): write 0.99 or 99%", lambda number: 0 < number < 1, _with_percent
)
some_seconds = _duration("above 0, at most 1 day", lambda seconds: 0 < seconds <= _SECONDS_PER_DAY)
seconds_or_zero = _duration("from 0 to 1 day", lambda seconds: 0 <= seconds <= _SECONDS_PER_DAY)
write_period_seconds = _duration(
    "of 0, or from 0.1 s to 1 day", lambda seconds: seconds == 0 or 0.1 <= seconds <= _SECONDS_PER_DAY
)
window_seconds = _duration("from 10 s to 1 day", lambda seconds: 10 <= seconds <= _SECONDS_PER_DAY)
polls_hz = _number("a number of polls per second from 0 to 1000", lambda number: 0 <= number <= _MOST_POLLS_HZ)
some_polls_hz = _number(
    "a number of polls per second above 0, at most 1000", lambda number: 0 < number <= _MOST_POLLS_HZ
)
parts_per_million = _number("a number of parts per million from 0 to 100000", lambda number: 0 <= number <= 100_000)


def ratio(text: str) -> float:
    """A ratio between 0 and 1, both excluded. For a missing % sign, the error message suggests the ratio."""
    try:
        return _some_ratio(text)
    except ValueError as error:
        percent = text.removesuffix("%").strip()
        if _plain(percent) is None or not _LIKELY_PERCENT <= float(percent) < 100:
            raise
        raise ValueError(f'{error}, did you mean "{float(Decimal(percent) / 100)}"?') from None


def count(text: str) -> int:
    """A whole number, at least one."""
    if re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= 1000:
        return int(text)
    raise ValueError("is not a whole number from 1 to 1000")


def time(text: str) -> float:
    """A moment as audit logs write it, in seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is not a time with its zone: write 2026-11-29T02:00:00Z")
    return moment.timestamp()


def switch(text: str) -> bool:
    """On or off, in any of the spellings that YAML and shells know."""
    if (value := _SWITCH.get(text.lower())) is None:
        raise ValueError("is not true or false")
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    """Parser that takes exactly these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return text

    return parse


def word(text: str) -> str:
    """A name with somebody else's rules, such as a kubeconfig context."""
    if not text.strip() or not text.isprintable():
        raise ValueError("is not a name")
    return text


def namespace(text: str) -> str:
    """Name of a Kubernetes namespace."""
    if not is_dns_label(text):
        raise ValueError("is not a namespace: lower-case letters, digits and dashes, at most 63")
    return text


def object_name(text: str) -> str:
    """Name of a Kubernetes object without a namespace."""
    if not is_dns_subdomain(text):
        raise ValueError("is not the name of an object: lower-case letters, digits, dashes and dots, at most 253")
    return text


def namespaced_name(text: str) -> str:
    """Name of a Kubernetes object, after its namespace or alone."""
    before, slash, name = text.rpartition("/")
    if not is_dns_subdomain(name) or (slash and not is_dns_label(before)):
        raise ValueError("is not the name of an object: write namespace/name or name")
    return text


def annotation_key(text: str) -> str:
    """Key of an annotation: a name, after a domain or alone. Unlike a label's, its letters may be of either case."""
    prefix, slash, name = text.rpartition("/")
    if not _ANNOTATION_NAME.fullmatch(name) or (slash and not is_dns_subdomain(prefix.lower())):
        raise ValueError("is not an annotation's key: write example.com/name or name, the name with at most 63")
    return text


def custom_resource_glob(text: str) -> str:
    """Pattern for the names of CRDs, which read plural.group."""
    if not _GLOB.fullmatch(text):
        raise ValueError(
            "is not a pattern for custom resources such as *.example.com: lower-case letters, digits and - . * ?"
        )
    return text


def server_name(text: str) -> str:
    """Name or address that a certificate is made out to."""
    if not is_host_name(text) and not is_ipv6(text):
        raise ValueError("is not a server name as in a certificate")
    return text


def apiserver_url(text: str) -> str:
    """Address of an apiserver as `scheme://host:port`, in lower case and always with its port."""
    return _address(text, "an apiserver: write https://host:port")


def exporter_url(text: str) -> str:
    """Address of a running exporter, in the same form."""
    return _address(text, "an exporter: write http://host:port")


def _address(text: str, what: str) -> str:
    if match := _URL.fullmatch(text.lower()):
        scheme, ipv6, host = match["scheme"], match["ipv6"], match["host"]
        port = int(match["port"] or _DEFAULT_PORTS[scheme])
        is_known_host = is_ipv6(ipv6) if ipv6 else is_host_name(host)
        if is_known_host and 1 <= port <= 65535:
            return f"{scheme}://{f'[{ipv6}]' if ipv6 else host}:{port}"
    without = "a name or a password" if "@" in text else "a path"
    raise ValueError(f"is not {what}, without {without}")


def http_url(text: str) -> str:
    """URL of a server that may be behind a path, a name and a password; without a slash at its end."""
    refusal = ValueError("is not a URL: write http://host:port")
    try:
        parts = urlsplit(text)
        is_port_good = parts.port is None or parts.port > 0
    except ValueError:
        raise refusal from None
    host = parts.hostname or ""
    is_plain = text.isprintable() and " " not in text and not parts.query and not parts.fragment
    if parts.scheme in _DEFAULT_PORTS and is_plain and is_port_good and (is_host_name(host) or is_ipv6(host)):
        return text.rstrip("/")
    raise refusal


def page_url(text: str) -> str:
    """URL of another exporter's page. It is shown to whoever reads ours, so that it may have no password."""
    if "@" in text:
        raise ValueError("is not the URL of a page, without a name or a password")
    return http_url(text)


def path(text: str) -> Path:
    """Path of a file that may come later."""
    if not text.strip() or "\0" in text:
        raise ValueError("is not a path")
    return Path(text)


def readable_yaml(text: str) -> Path:
    """Path of a file that exists, can be read and holds a YAML mapping."""
    path = Path(text)
    if compose_mapping(path) is None:
        raise ValueError("is empty")
    return path


def web_config_file(text: str) -> Path:
    """Path of a file in exporter-toolkit's format; the certificates that it names are tried as well."""
    from exporter.config.web_config import read_web_config  # noqa: PLC0415 most have none, and it brings ssl along

    path = Path(text)
    tls = read_web_config(path).tls_server_config
    if tls.is_enabled:
        tls.context(path.parent)
    return path


def http_config_file(text: str) -> "HTTPConfig":
    """Content of a file in the format of Prometheus' http_config; the files that it names are tried as well."""
    from exporter.config.http_config import read_http_config  # noqa: PLC0415 as above

    return read_http_config(Path(text))


def audit_web_config_file(text: str) -> Path:
    """As `web_config_file`, of a server for none but clients with certificates."""
    from exporter.config.web_config import read_web_config  # noqa: PLC0415 as above

    path = web_config_file(text)
    if read_web_config(path).tls_server_config.client_auth_type != "RequireAndVerifyClientCert":
        raise ValueError("does not ask for client certificates: set client_auth_type: RequireAndVerifyClientCert")
    return path


def config_file(text: str) -> Path:
    """Path of a file that exists, can be read and holds a YAML mapping or only comments."""
    path = Path(text)
    compose_mapping(path)
    return path
