"""Two kinds of names in the configuration: a resource of the API and an address to listen on.

`parse` reads text into a frozen value, and str() gives the text back. A refusal is a ValueError whose message
completes the sentence that begins with the quoted text: `is not ...`.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

import msgspec

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_API_VERSION = re.compile(r"v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?")
_HOST_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*\.?", re.IGNORECASE)
_HOST_PORT = re.compile(r"(\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


def is_dns_label(text: str) -> bool:
    """Whether Kubernetes takes it as a namespace or as a resource's plural (RFC 1123 label)."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether Kubernetes takes it as an API group or as an object's name (RFC 1123 subdomain)."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_host_name(text: str) -> bool:
    """Whether it is an IPv4 address or may be a name in DNS; underscores occur in names of container networks."""
    if re.fullmatch(r"[0-9.]+", text):
        return _is_address(IPv4Address, text)
    return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, without brackets."""
    return _is_address(IPv6Address, text)


def is_loopback(host: str) -> bool:
    """Judged by the name only: what another name resolves to can change with every request."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(family: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        family(text)
    except ValueError:
        return False
    return True


class ResourceName(msgspec.Struct, frozen=True):
    """A resource type as the API names it. The core group is ""; version None leaves the choice to the apiserver."""

    plural: str
    group: str = ""
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `plural`, `plural.group` or `plural.version.group`; raises ValueError.

        What follows the plural is a version only if it looks like one: `foos.v1.example.com` has one, and
        `foos.v1x.example.com` is of the group v1x.example.com.
        """
        plural, *rest = text.split(".")
        version = rest.pop(0) if rest and _API_VERSION.fullmatch(rest[0]) else None
        group = ".".join(rest)
        if not is_dns_label(plural) or (rest and not is_dns_subdomain(group)):
            raise ValueError("is not a resource: write plural, plural.group or plural.version.group, in lower case")
        return cls(plural, group, version)

    def is_same_kind(self, other: "ResourceName") -> bool:
        """Whether both name the same kind, in whatever version."""
        return (self.plural, self.group) == (other.plural, other.group)

    def __str__(self) -> str:
        return ".".join(part for part in (self.plural, self.version, self.group) if part)


class ListenAddress(msgspec.Struct, frozen=True):
    """Where to accept connections. The host "" means every interface, port 0 any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, `:port` or `[ipv6]:port`; raises ValueError."""
        match = _HOST_PORT.fullmatch(text)
        if match:
            ipv6, host, port = match["ipv6"], match["host"], int(match["port"])
            is_known_host = is_ipv6(ipv6) if ipv6 is not None else not host or is_host_name(host)
            if is_known_host and port <= 65535:
                return cls(ipv6 or host, port)
        raise ValueError("is not an address to listen on: write host:port, :port or [ipv6]:port")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
