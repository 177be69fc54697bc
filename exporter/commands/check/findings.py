"""The findings about one apiserver address, as values. None means not checked, or not in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from exporter.config import Config, ResourceName
    from exporter.kubernetes.permissions import Permission
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Server
    from exporter.kubernetes.writes import CanaryObject


class Unknown(NamedTuple):
    """Why something could not be found out."""

    sentence: str


class NotServed(NamedTuple):
    """A resource that discovery does not have, in one sentence."""

    sentence: str


class Greeting(msgspec.Struct, frozen=True):
    """The answer to the first request, which asks for the version."""

    seconds: float
    """From the request to the answer, with the connection and its TLS handshake."""
    version: str | Unknown
    is_certificate_verified: bool | None
    """None without TLS."""
    on_the_way: tuple[str, ...]
    """Headers and settings that reveal proxies."""


class UserName(msgspec.Struct, frozen=True):
    """The user name that the apiserver sees; None if it does not report it."""

    name: str | None


class Found(msgspec.Struct, frozen=True):
    """The result of discovery for a name."""

    name: ResourceName
    resource: Resource | NotServed | Unknown


class Matches(msgspec.Struct, frozen=True):
    """The custom resources that match the globs now: those that would be watched, and how many are too many."""

    watched: tuple[ResourceName, ...]
    left_out: int
    unmatched: tuple[str, ...] = ()
    """A sentence for each pattern that none matches."""


class Review(msgspec.Struct, frozen=True):
    """Permissions that belong together on one resource, and the missing ones."""

    resource: Resource
    namespace: str | None
    """Where to grant them: the namespace of a Role, or (None) a ClusterRole."""
    permissions: tuple[Permission, ...]
    missing: tuple[Permission, ...] | Unknown

    def grants(self, verb: str) -> bool:
        """Whether this verb is not missing, for certain."""
        return not isinstance(self.missing, Unknown) and all(missing.verb != verb for missing in self.missing)


class CanaryTrial(NamedTuple):
    """A dry-run write to a canary object; None is success."""

    what: CanaryObject
    failure: Unknown | None
    is_there: bool


class PolledKind(msgspec.Struct, frozen=True):
    """The kind that polls will list to date a resource: the best kind in its store that we may list, or itself."""

    resource: Resource
    polled: Resource | Unknown


class Polls(msgspec.Struct, frozen=True):
    """Some polls, one after the other over one connection."""

    kind: Resource
    round_trips_seconds: tuple[float, ...]
    failed: tuple[str, ...]
    dated: int
    """How many answers had a Date that the apiserver itself wrote."""
    contradictions: int
    offset_seconds: tuple[float, float] | None
    """Bounds of the apiserver's wall clock minus ours; None while the Dates are not enough."""


class Findings(msgspec.Struct):
    """All findings, filled in one after the other."""

    config: Config
    server: Server
    credentials: str
    """Where they come from."""
    greeting: Greeting | Unknown | None = None
    user: UserName | Unknown | None = None
    found: tuple[Found, ...] | None = None
    custom: Matches | Unknown | None = None
    definitions: Review | None = None
    """To follow CustomResourceDefinitions; asked only where globs are given."""
    watches: tuple[Review, ...] | None = None
    clock: tuple[Review, ...] | None = None
    """To poll each kind that the revision clock might poll, in its order of preference."""
    canaries: tuple[Review, ...] | None = None
    """To write to each object of our own."""
    readers: tuple[Review, ...] = ()
    """To let the apiserver review who asks us; asked only with --web.auth-filter."""
    pulls: Review | None = None
    """To watch the kubelets' Events about images; asked only with --pod-startup."""
    objects: tuple[CanaryTrial, ...] | None = None
    namespace: bool | Unknown | None = None
    """Whether it is there, the one that is watched."""
    server_metrics: bool | Unknown | None = None
    """Whether we may read the apiserver's own metrics; asked only where they would be read."""
    request_dump: bool | Unknown | None = None
    """Whether we may read whose requests it executes; asked only where that would be read."""
    endpoints: Review | None = None
    apiservers: int | None = None
    """How many the cluster has, if it says so."""
    identities: int | None = None
    """The number of apiservers that renew an identity Lease, if we may list these."""
    certificates: int | None = None
    """How many different certificates the address shows."""
    polls: Polls | None = None
    polled_kinds: tuple[PolledKind, ...] | None = None
    unreached: str | None = None
    """Why none of the endpoints that discovery finds answers, so that this server would be watched instead."""
    ran_out_of_time: bool = False

    @property
    def clock_kinds(self) -> tuple[Resource, ...]:
        """The kinds that revision clocks may poll, in the order of preference."""
        return tuple(review.resource for review in self.clock or () if review.grants("list"))

    @property
    def clock_kind(self) -> Resource | None:
        """The kind that the first revision clock will poll; None if we may list none of the quiet kinds."""
        return next(iter(self.clock_kinds), None)

    @property
    def watched_names(self) -> tuple[ResourceName, ...]:
        """All resources to watch, as far as known: the configured ones, then those that match globs."""
        configured = self.config.resources
        kinds = {(name.plural, name.group) for name in configured}
        matching = self.custom.watched if isinstance(self.custom, Matches) else ()
        return *configured, *(name for name in matching if (name.plural, name.group) not in kinds)

    @property
    def reads_server_metrics(self) -> bool:
        """Whether the daemon would ask this address for its own metrics."""
        return self.config.prometheus_url is None and self.config.apiserver_metrics != "off"

    @property
    def reads_request_dump(self) -> bool:
        """Whether the daemon would ask this address whose requests it executes."""
        return self.server.is_one_apiserver and self.config.apiserver_metrics != "off"

    @property
    def listable(self) -> tuple[Resource, ...]:
        """The resources that are served and that we may list."""
        return tuple(review.resource for review in self.watches or () if review.grants("list"))
