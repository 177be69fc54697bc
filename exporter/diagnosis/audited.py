"""Who it is: the users whose requests stand out in the audit log, against the hour before.

The log is the only witness that knows names. That nobody stands out in it proves nothing: policies leave requests out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.diagnosis import reported
from exporter.diagnosis.view import UNKNOWN, Observed, View, sign, yes
from exporter.diagnosis.wording import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.audit.live import AuditSpell
    from exporter.vocabulary import Fault

MOST_OF_ALL = 0.5
BUSY_IN_FLIGHT = 0.3
"""Less than so many requests at a time are no storm, whatever their share."""

LISTS = frozenset({"list"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
ANY = LISTS | WRITES | {"get"}
VERBS: Mapping[Fault, frozenset[str]] = {
    "list_storm": LISTS,
    "relist_storm": LISTS,
    "write_storm": WRITES,
    "store_slow": ANY,
    "apiserver_overloaded": ANY,
    "requests_queued": ANY,
}
"""Of which requests somebody may be the cause."""


@sign
def lists_stand_out(view: View) -> Observed:
    """The audit log: LISTs of one user take most of all server seconds, and did not in the hour before."""
    for one in view.facts.askers:
        if one.verb == "list" and one.share >= MOST_OF_ALL and one.in_flight >= BUSY_IN_FLIGHT:
            return yes(who_is(one))
    return UNKNOWN


@sign
def lists_dominate(view: View) -> Observed:
    """LISTs of many objects take most of its time, by its own metrics or the audit log."""
    own = reported.lists_dominate.look(view)
    return own if own.holds else lists_stand_out.look(view)


def who(fault: Fault, resource: str, askers: tuple[AuditSpell, ...]) -> tuple[str, ...]:
    """The users who may be the cause of a fault, with what they did; `resource` is "" if it concerns all."""
    verbs = VERBS.get(fault, frozenset())
    seen = [one for one in askers if one.verb in verbs and (not resource or one.resource.split(".")[0] == resource)]
    return (f"who: {listed(map(who_is, seen[:3]))}",) if seen else ()


def who_is(one: AuditSpell) -> str:
    """One user, and what share of all server seconds went into its requests."""
    name = one.user or "one user (--audit.user-names gives its name)"
    return f"{name}: {one.requests} requests to {one.verb} {one.resource}, {one.share:.0%} of all server seconds"
