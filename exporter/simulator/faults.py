"""The knobs of one simulated apiserver, to be turned while it runs.

In: whatever a test or a scenario sets. Out: nothing; the other rooms look here. Delays are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ANY = "*"


class DelayByResource:
    """One delay per resource name, and one for all that have none of their own."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def set(self, seconds: float, resource: str = ANY) -> None:
        """Delay this resource, or with `*` all that were not set by name, by `seconds`."""
        self._seconds[resource] = seconds

    def clear(self) -> None:
        """No delay for any resource."""
        self._seconds.clear()

    def of(self, resource: str) -> float:
        """The delay in seconds of this resource."""
        return self._seconds.get(resource, self._seconds.get(ANY, 0.0))


@dataclass(slots=True)
class NetworkDelay:
    """How long every byte travels, in seconds: delay lines, so the rate stays what it was."""

    to_client_seconds: float = 0.0
    from_client_seconds: float = 0.0
    watch_to_client_seconds: float = 0.0  # on top, for connections that carry a watch at the time


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that requests get instead of what they asked for."""

    status: int  # 401, 429 or 503
    retry_after_seconds: int = 1
    verbs: frozenset[str] | None = None  # None: every verb
    resource: str = ANY

    def concerns(self, verb: str, resource: str) -> bool:
        """Whether a request of this verb for this resource is rejected."""
        return (self.verbs is None or verb in self.verbs) and self.resource in {ANY, resource}


@dataclass(slots=True)
class Faults:
    """Everything that can be wrong with an apiserver and is a state. What is an event (cut, close) is its method."""

    network: NetworkDelay = field(default_factory=NetworkDelay)
    commit_seconds: float = 0.0  # in admission, between the managedFields stamp and the commit
    storage_to_cache: DelayByResource = field(default_factory=DelayByResource)
    cache_to_watch: DelayByResource = field(default_factory=DelayByResource)
    rejection: Rejection | None = None
    html_verbs: frozenset[str] = frozenset()  # what is answered with a page and status 200, as captive proxies do
    stale_reads_seconds: float = 0.0  # consistent reads answer what the store had so long ago
    aggregated_clocks: dict[str, float] = field(default_factory=dict)
    """By name of resource: another server answers for it, whose clock is ahead of this one's by so many seconds."""
    bookmark_period_seconds: float = 60.0
    watch_buffer_events: int = 1000  # a watch that has more than this to send is closed
    _denials: set[tuple[str, str, str]] = field(default_factory=set)

    def deny(self, verb: str, resource: str, *, user: str = ANY) -> None:
        """Forbid the verb (`*`: all) on the resource (`*`: all) to the user (`*`: everyone)."""
        self._denials.add((user, verb, resource))

    def allow(self, verb: str, resource: str, *, user: str = ANY) -> None:
        """Take back exactly what `deny` was told before."""
        self._denials.discard((user, verb, resource))

    def permits(self, user: str, verb: str, resource: str) -> bool:
        """Whether no denial fits."""
        return not any(
            denied_user in {ANY, user} and denied_verb in {ANY, verb} and denied_resource in {ANY, resource}
            for denied_user, denied_verb, denied_resource in self._denials
        )
