"""Who it is: the users whose requests stand out in the audit log, against the hour before.

The log is the only witness that knows names. That nobody stands out in it proves nothing: policies leave requests out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.diagnosis import reported
from exporter.diagnosis.seen import share
from exporter.diagnosis.view import UNKNOWN, Observed, View, sign, yes
from exporter.diagnosis.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.audit.events import Verb
    from exporter.audit.live_counts import AuditSpell
    from exporter.diagnosis.facts import ApiserverFacts, Facts, FlowFacts
    from exporter.vocabulary import Fault

MOST_OF_ALL = 0.5
BUSY_IN_FLIGHT = 0.3
"""Less than so many requests at a time are no storm, whatever their share."""

MUCH_OF_SEATS = 0.2
FEWEST_REQUESTS = 5
"""Executed or waiting, in few samples: fewer say nothing."""

MOST_NAMED = 3
HIDDEN = "one user (--audit.user-names gives its name)"
HIDDEN_FLOW = "one flow (--audit.user-names gives its name)"

ENOUGH_SEEN = 0.5
"""Of the requests: with fewer of them in the log, that nobody stands out there says nothing."""

LISTS: frozenset[Verb] = frozenset({"list"})
WRITES: frozenset[Verb] = frozenset({"create", "update", "patch", "delete", "deletecollection"})
ANY: frozenset[Verb] = LISTS | WRITES | {"get"}
VERBS: Mapping[Fault, frozenset[Verb]] = {
    "list_storm": LISTS,
    "relist_storm": LISTS,
    "write_storm": WRITES,
    "store_slow": ANY,
    "apiserver_overloaded": ANY,
    "requests_queued": ANY,
    "unknown_cause": ANY,
}
"""Of which requests somebody may be the cause."""


@sign
def lists_stand_out(view: View) -> Observed:
    """The audit log: LISTs of one user take most of all server seconds, and did not in the hour before."""
    for one in view.facts.askers:
        if one.verb == "list" and one.share >= MOST_OF_ALL and one.in_flight >= BUSY_IN_FLIGHT:
            return yes(f"LISTs of one user take {one.share:.0%} of all server seconds in the audit log")
    return UNKNOWN


@sign
def lists_dominate(view: View) -> Observed:
    """LISTs of many objects take most of its time, by its own metrics or the audit log."""
    own = reported.lists_dominate.look(view)
    return own if own.holds else lists_stand_out.look(view)


def who(fault: Fault, resource: str, facts: Facts, apiserver: ApiserverFacts) -> tuple[str, ...]:
    """The users who may be the cause of a fault, with what they did; `resource` is as flags have it, "" for all.

    Where the log names none, who holds the seats of this apiserver; then, what it is worth that the log names none:
    nothing where it has few of the requests, or may have.
    """
    if fault not in VERBS:
        return ()
    verbs, whose = VERBS[fault], "perhaps" if fault == "unknown_cause" else "who"
    asked, seen = _asked(fault, resource, facts), share(facts.seen, verbs) if facts.seen is not None else None
    if asked:
        return (f"{whose}: {listed(map(who_is, asked[:MOST_NAMED]))}{_worth(verbs, seen)}",)
    if holding := [one for one in apiserver.flows if _holds_much(one)]:
        return (f"{whose}: {listed(map(what_it_holds, holding[:MOST_NAMED]))}",)
    if facts.seen is None or fault == "unknown_cause":
        return ()
    if seen is not None and seen >= ENOUGH_SEEN:
        return (f"who: nobody stands out in the audit log, which has {seen:.0%} of all {_called(verbs)}",)
    return (f"who: not known{_worth(verbs, seen)}",)


def is_unnamed(fault: Fault, resource: str, facts: Facts) -> bool:
    """Whether somebody's requests may be the cause of a fault, and the audit log does not say whose."""
    return fault in VERBS and not _asked(fault, resource, facts)


def _asked(fault: Fault, resource: str, facts: Facts) -> list[AuditSpell]:
    verbs, is_anything = VERBS[fault], not resource or fault == "unknown_cause"
    return [
        one for one in facts.askers if one.verb in verbs and (is_anything or one.resource.split("/")[0] == resource)
    ]


def _holds_much(one: FlowFacts) -> bool:
    return max(one.seats_share, one.waiting_share) >= MUCH_OF_SEATS and one.requests >= FEWEST_REQUESTS


def what_it_holds(one: FlowFacts) -> str:
    """One flow, and what share it has of an apiserver's seats."""
    name = one.name or ("requests without a name" if one.name is None else HIDDEN_FLOW)
    waiting = f" and {one.waiting_share:.0%} of the requests that wait" if one.waiting_share else ""
    return f"{name} (flow schema {one.flow_schema}) with {one.seats_share:.0%} of the seats in use{waiting}"


def who_is(one: AuditSpell) -> str:
    """One user, and what share of all server seconds went into its requests."""
    name = one.user or HIDDEN
    selected = f" by {one.selected_by}" if one.selected_by else ""
    return (
        f"{name}: {counted(one.requests, 'request', 'requests')} to {one.verb} {one.resource}{selected}, "
        f"{one.share:.0%} of all server seconds in the audit log"
    )


def _worth(verbs: frozenset[Verb], seen: float | None) -> str:
    if seen is None:
        return f"; which share of all {_called(verbs)} the audit log has is not known (needs --apiserver.metrics)"
    return f"; the audit log has {'only ' if seen < ENOUGH_SEEN else ''}{seen:.0%} of all {_called(verbs)}"


def _called(verbs: frozenset[Verb]) -> str:
    return "LISTs" if verbs == LISTS else "writes" if verbs == WRITES else "requests"
