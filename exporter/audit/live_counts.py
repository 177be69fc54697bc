"""What goes on now, by events as they come: bounded totals for metrics, and who stands out against the hour before.

Times here are those of our own clock when an event came: nobody who writes to the log can move them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from exporter.audit.bounded import Lately
from exporter.audit.counting import LONGEST_REQUEST_SECONDS, MOST_EVENT_IDS, identity_of, lasts
from exporter.audit.requests import asked_of_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.audit.events import AuditEvent, Verb

OTHER = "other"
MOST_USERS = 20
MOST_RESOURCES = 30
"""Of one user."""

MINUTE = 60.0
USUAL_MINUTES = 60
MOST_IN_A_MINUTE = 2_000
"""Users, verbs and resources; of more those that cost least are one."""

MUCH_OF_ALL = 0.2
MUCH_IN_FLIGHT = 0.05
TIMES_AS_USUAL = 2.0

MOST_SELECTIONS = 5
"""Of one user, verb and resource in a minute."""

LEASES = "leases.coordination.k8s.io"
UNCOUNTED_CODES = frozenset({401, 403, 429})
"""Mostly of requests that an apiserver turns away before its metrics count how long they took."""

Asker: TypeAlias = tuple[str, str, str]
"""User, verb and resource."""


def _hashed(user: str) -> str:
    return sha256(user.encode(errors="replace")).hexdigest()[:16]


NAMES: Mapping[str, Callable[[str], str]] = {"none": lambda _: "", "hashed": _hashed, "plain": str}
"""What the metrics say of a user's name."""


class Total:
    """Server seconds and requests."""

    __slots__ = ("requests", "seconds", "selections")

    def __init__(self, seconds: float = 0.0, requests: int = 0) -> None:
        self.seconds = seconds
        self.requests = requests
        self.selections: dict[str, int] = {}
        """LISTs by what they are selected by."""

    def add(self, seconds: float, requests: int = 1) -> None:
        """So much more."""
        self.seconds += seconds
        self.requests += requests

    def selected(self, by: str, requests: int = 1) -> None:
        """So many of them were selected by this."""
        if by in self.selections or len(self.selections) < MOST_SELECTIONS:
            self.selections[by] = self.selections.get(by, 0) + requests

    @property
    def selected_by(self) -> str:
        """What most LISTs are selected by; "" where that is nothing."""
        return max(self.selections, key=self.selections.__getitem__, default="")


class AuditSpell(msgspec.Struct, frozen=True):
    """Somebody whose requests took much of all server seconds for a while, and more than in the hour before."""

    user: str
    verb: str
    resource: str
    since: float
    until: float
    requests: int
    seconds: float
    share: float
    """Of the server seconds of everybody in the log."""
    usual_in_flight: float
    """How many of its requests were with an apiserver at a time in the hour before."""
    selected_by: str = ""
    """What most of its LISTs are selected by: `spec.nodeName`, `a label`, or nothing."""

    @property
    def in_flight(self) -> float:
        """How many were at a time."""
        return self.seconds / (self.until - self.since)


class LiveCounts:
    """Counts events as they come. `totals` are never more than a page of series, and each of them only goes up."""

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self.totals: dict[Asker, Total] = {}
        """By what `shown` makes of a user's name; who costs little is `other`."""
        self.requests: dict[Verb, int] = {}
        """All of them by verb, as an apiserver's metrics count them: without those that last, and without leases."""
        self._shown = shown
        self._seen: Lately[int, bool] = Lately(MOST_EVENT_IDS)
        self._named: dict[str, set[str]] = {}
        """Users with series of their own, and their resources."""
        self._minutes: deque[tuple[int, dict[Asker, Total]]] = deque(maxlen=2 * USUAL_MINUTES)
        self._hour: Mapping[Asker, Total] = {}
        """Of the last hour, without the minute that is not over."""

    def count(self, event: AuditEvent, now: float) -> None:
        """One event that came now."""
        if event.stage != "complete" or event.verb == "watch" or lasts(event.resource):
            return
        identity = identity_of(event)
        if self._seen.get(identity):
            return  # a webhook sends a batch again if it had no answer
        self._seen.put(identity, True)  # noqa: FBT003
        seconds = event.staged - event.received if event.received is not None else 0.0
        if not 0 <= seconds <= LONGEST_REQUEST_SECONDS:
            seconds = 0.0
        asker = (event.user, event.verb, event.resource)
        minute = self._minute(now)
        if len(minute) >= MOST_IN_A_MINUTE:
            _keep_the_dearest(minute)
        total = minute.setdefault(asker, Total())
        total.add(seconds)
        if event.verb == "list" and event.code < 400:  # a selector that is none may hold anything
            total.selected(asked_of_list(event.query).by)
        if event.resource and event.resource != LEASES and event.code not in UNCOUNTED_CODES:
            self.requests[event.verb] = self.requests.get(event.verb, 0) + 1
        self.totals.setdefault(self._series(self._shown(event.user), event.verb, event.resource), Total()).add(seconds)

    def _minute(self, now: float) -> dict[Asker, Total]:
        number = int(now // MINUTE)
        if not self._minutes or self._minutes[-1][0] != number:
            self._minutes.append((number, {}))
            self._choose_names(now)
        return self._minutes[-1][1]

    def _choose_names(self, now: float) -> None:
        """Those that cost most in the last hour have series of their own; the others' are gone."""
        self._hour = _sum(self._between(now - USUAL_MINUTES * MINUTE, now // MINUTE * MINUTE))
        cost: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for (user, _, resource), total in self._hour.items():
            cost[self._shown(user)][resource] += total.seconds
        users = _dearest({user: sum(seconds.values()) for user, seconds in cost.items()}, MOST_USERS)
        self._named = {user: _dearest(cost[user], MOST_RESOURCES) for user in users}
        for user, verb, resource in list(self.totals):
            if OTHER not in (user, resource) and resource not in self._named.get(user, ()):
                del self.totals[user, verb, resource]

    def _series(self, user: str, verb: str, resource: str) -> Asker:
        if user not in self._named and len(self._named) >= MOST_USERS:
            return OTHER, verb, OTHER
        resources = self._named.setdefault(user, set())
        if resource not in resources and len(resources) >= MOST_RESOURCES:
            return user, verb, OTHER
        resources.add(resource)
        return user, verb, resource

    def spells(self, since: float, until: float) -> tuple[AuditSpell, ...]:
        """Who stood out from then to then, whoever cost most first. None is no proof of innocence: a log has gaps.

        Users have the names that `shown` gives them.
        """
        # Whole minutes: those of the spell must not be in the hour before.
        since, until = since // MINUTE * MINUTE, max(until, since // MINUTE * MINUTE + 1)
        during = _sum(self._between(since, until))
        # Only few minutes are summed up here: this is asked for again and again while something is wrong.
        newest = self._minutes[-1][0] * MINUTE if self._minutes else since
        over = _sum(self._between(since, newest))
        known = max(since - max(newest - USUAL_MINUTES * MINUTE, self._began), MINUTE)
        all_seconds = sum(total.seconds for total in during.values())
        spells = [
            AuditSpell(
                *asker,
                since=since,
                until=until,
                requests=total.requests,
                seconds=total.seconds,
                share=total.seconds / all_seconds,
                usual_in_flight=(self._hour.get(asker, Total()).seconds - over.get(asker, Total()).seconds) / known,
                selected_by=total.selected_by,
            )
            for asker, total in during.items()
            if asker[0] != OTHER and total.seconds > 0
        ]
        standing_out = sorted(filter(_stands_out, spells), key=lambda spell: (-spell.seconds, spell.user))
        return tuple(replace(spell, user=self._shown(spell.user)) for spell in standing_out)

    @property
    def _began(self) -> float:
        return self._minutes[0][0] * MINUTE if self._minutes else 0.0

    def _between(self, since: float, until: float) -> Iterable[dict[Asker, Total]]:
        return (totals for number, totals in self._minutes if since <= number * MINUTE < until)


def _keep_the_dearest(minute: dict[Asker, Total]) -> None:
    rest = Total()
    for asker in sorted(minute, key=lambda asker: (minute[asker].seconds, asker))[: MOST_IN_A_MINUTE // 2]:
        total = minute.pop(asker)
        rest.add(total.seconds, total.requests)
    minute.setdefault((OTHER, OTHER, OTHER), Total()).add(rest.seconds, rest.requests)


def _dearest(seconds: dict[str, float], most: int) -> set[str]:
    return set(sorted(seconds, key=lambda name: (-seconds[name], name))[:most])


def _stands_out(spell: AuditSpell) -> bool:
    is_much = spell.share >= MUCH_OF_ALL and spell.in_flight >= MUCH_IN_FLIGHT
    return is_much and spell.in_flight >= TIMES_AS_USUAL * spell.usual_in_flight


def _sum(minutes: Iterable[dict[Asker, Total]]) -> dict[Asker, Total]:
    sums: dict[Asker, Total] = {}
    for minute in minutes:
        for asker, total in minute.items():
            summed = sums.setdefault(asker, Total())
            summed.add(total.seconds, total.requests)
            for by, requests in total.selections.items():
                summed.selected(by, requests)
    return sums
