"""Which share of the apiservers' requests the audit log has, by verb: both are counted over the same minutes.

A policy leaves requests out, and a log may be of one apiserver of several: whoever is not in it is not cleared by it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.audit.events import Verb
    from exporter.diagnosis.server_facts import ServerFacts
    from exporter.measure.times import Instant

WINDOW_SECONDS = 300.0
FEWEST_REQUESTS = 20.0
"""Of fewer no share is told: requests under way are in one count already, and in the other not yet."""

LEASES = ("coordination.k8s.io", "leases")
"""Most of all requests where nothing happens; the policy of docs/audit.md leaves them out, so they count nowhere."""

VERB_OF: Mapping[str, Verb] = {
    "LIST": "list",
    "GET": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "APPLY": "patch",
    "DELETE": "delete",
    "DELETECOLLECTION": "deletecollection",
}
"""Kubernetes' verbs by those of an apiserver's metrics."""


class LoggedShare(NamedTuple):
    """Requests a second of one verb, without what lasts (watches, exec, logs) and without leases."""

    in_log: float
    answered: float
    """By all apiservers, as their own metrics say."""


class _Reading(NamedTuple):
    began: Instant
    ended: Instant
    requests: dict[Verb, float]


class ComparedRequests:
    """Counts of the last minutes, of the log and of each apiserver."""

    def __init__(self) -> None:
        self._logged: deque[tuple[Instant, dict[Verb, int]]] = deque()
        self._readings: dict[str, deque[_Reading]] = {}
        self._last: dict[str, ServerFacts] = {}

    def compare(
        self,
        now: Instant,
        logged: Mapping[Verb, int],
        apiservers: Collection[str],
        servers: Mapping[str, ServerFacts],
    ) -> dict[Verb, LoggedShare]:
        """Take in how many were logged so far, and the metrics of those apiservers that tell them.

        Empty where an apiserver tells nothing: the log may have its requests or not.
        """
        self._logged.append((now, dict(logged)))
        for name, facts in servers.items():
            if self._last.get(name) is not facts:
                self._take(name, facts, now)
        self._forget(now, apiservers)
        readings = [self._readings.get(name) for name in apiservers]
        if not readings or not all(readings):
            return {}
        return self._shares([list(one) for one in readings if one])

    def _take(self, name: str, facts: ServerFacts, now: Instant) -> None:
        self._last[name] = facts
        began = now - facts.seconds
        if not facts.requests or began < self._logged[0][0]:
            return  # it has begun anew, or the log was not read yet
        requests: dict[Verb, float] = {}
        for (verb, kind), timed in facts.requests.items():
            if verb in VERB_OF and kind != LEASES:
                requests[VERB_OF[verb]] = requests.get(VERB_OF[verb], 0.0) + timed.per_second * facts.seconds
        self._readings.setdefault(name, deque()).append(_Reading(began, now, requests))

    def _forget(self, now: Instant, apiservers: Collection[str]) -> None:
        since = now - WINDOW_SECONDS
        while len(self._logged) > 1 and self._logged[1][0] < since:
            self._logged.popleft()
        for name in [name for name in self._last if name not in apiservers]:
            del self._last[name]
            self._readings.pop(name, None)
        for readings in self._readings.values():
            while readings and readings[0].began < since:
                readings.popleft()

    def _shares(self, readings: list[list[_Reading]]) -> dict[Verb, LoggedShare]:
        began = min(of_one[0].began for of_one in readings)
        ended = max(of_one[-1].ended for of_one in readings)
        before, after = self._logged_at(began), self._logged_at(ended)
        answered: dict[Verb, float] = {}
        for of_one in readings:
            seconds = sum(one.ended - one.began for one in of_one)
            for one in of_one:
                for verb, requests in one.requests.items():
                    answered[verb] = answered.get(verb, 0.0) + requests / seconds
        return {
            verb: LoggedShare((after.get(verb, 0) - before.get(verb, 0)) / (ended - began), rate)
            for verb, rate in answered.items()
            if rate * (ended - began) >= FEWEST_REQUESTS
        }

    def _logged_at(self, at: Instant) -> dict[Verb, int]:
        return next((counts for then, counts in reversed(self._logged) if then <= at), self._logged[0][1])


def share(seen: Mapping[Verb, LoggedShare], verbs: Collection[Verb]) -> float | None:
    """Of all requests of these verbs; None if it is not known."""
    known = [seen[verb] for verb in verbs if verb in seen]
    answered = sum(one.answered for one in known)
    # Both are counted at slightly different moments: a log does not have more than there is.
    return min(1.0, sum(one.in_log for one in known) / answered) if answered else None
