"""The faults that the field knows: what each needs, what confirms and what excludes it.

Read it as a table; docs/faults.md is made of it. The more exact cause comes first: if it is found, what it `explains`
is not reported beside it. Sources: Kubernetes issues, enhancement proposals and incident reports, and the source of
kube-apiserver 1.29 to 1.37.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from exporter.diagnosis import audited
from exporter.diagnosis import outside as see
from exporter.diagnosis import reported as it

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.diagnosis.view import Sign
    from exporter.vocabulary import Fault

Scope = Literal["stream", "apiserver", "exporter"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. It is suspected if every sign it `needs` is there and none that `excludes` it; one that `confirms` it
    makes it shown.
    """

    fault: Fault
    scope: Scope
    says: str
    """What is wrong, as a sentence without its full stop; {resource} and {apiserver} are filled in."""
    needs: tuple[Sign, ...]
    confirms: tuple[Sign, ...]
    excludes: tuple[Sign, ...] = ()
    behind_balancer: tuple[tuple[Sign, ...], ...] = ()
    """What it needs instead, each of these, where an address stands before several apiservers: our polls may reach
    another of them than the watch that is late.
    """
    explains: tuple[Fault, ...] = ()
    instead_of: tuple[Fault, ...] = ()
    """What it is mistaken for most easily: the finding says why it is not that."""

    def telling(self, *, is_one_apiserver: bool) -> tuple[Sign, ...]:
        """Of the signs it needs one that is not there while all is well: one in the apiserver's own metrics, if any."""
        alternatives = (self.needs,) if is_one_apiserver else (self.needs, *self.behind_balancer)
        return tuple(next((sign for sign in needs if sign.is_reported), needs[0]) for needs in alternatives)


OVERLOAD: tuple[Fault, ...] = (
    "apiserver_overloaded",
    "cache_behind",
    "connections_unbalanced",
    "conversion_slow",
    "requests_queued",
    "store_slow",
    "watchers_closed",
)
"""What an apiserver suffers that has more to do than it can."""

RULES: tuple[Rule, ...] = (
    Rule(
        fault="exporter_refused",
        scope="stream",
        says="this exporter may not watch {resource} on {apiserver}",
        needs=(see.refused,),
        confirms=(see.refused,),
        excludes=(see.was_away, it.started_anew),
    ),
    Rule(
        fault="exporter_starved",
        scope="exporter",
        says="this exporter itself gets too little CPU or memory, so it cannot say how late events are",
        needs=(see.ambiguous, see.stalled),
        confirms=(see.held_back,),
    ),
    Rule(
        fault="apiserver_unreachable",
        scope="apiserver",
        says="{apiserver} does not answer",
        needs=(see.nothing_answers,),
        confirms=(see.peers_answer,),
        explains=(
            "apiserver_restarted",
            "connection_dropped",
            "exporter_refused",
            "relist_storm",
            "requests_queued",
        ),
    ),
    Rule(
        fault="apiserver_restarted",
        scope="apiserver",
        says="{apiserver} was restarted",
        needs=(see.was_away,),
        confirms=(it.started_anew,),
        explains=(
            "exporter_refused",
            "watchers_closed",
            "relist_storm",
            "initial_events_burst",
            "requests_queued",
            "connection_dropped",
            "cache_behind",
            "apiserver_overloaded",
            "store_slow",
        ),
    ),
    Rule(
        fault="relist_storm",
        scope="apiserver",
        says="many clients of {apiserver} list everything anew at the same time",
        needs=(see.burdened, see.history_gone),
        confirms=(it.herd, it.lists_dominate, it.initial_events),
        explains=(*OVERLOAD, "list_storm", "initial_events_burst"),
        instead_of=("apiserver_restarted",),
    ),
    Rule(
        fault="initial_events_burst",
        scope="apiserver",
        says="watches that begin get the whole state of a resource replayed by {apiserver}",
        needs=(see.troubled, it.initial_events),
        confirms=(it.initial_events,),
        excludes=(it.lists_dominate,),
        explains=OVERLOAD,
        instead_of=("list_storm",),
    ),
    Rule(
        fault="list_storm",
        scope="apiserver",
        says="LISTs take most of the time of {apiserver}",
        needs=(see.troubled, audited.lists_dominate),
        confirms=(it.lists_dominate, audited.lists_stand_out),
        explains=OVERLOAD,
        instead_of=("write_storm", "store_slow"),
    ),
    Rule(
        fault="write_storm",
        scope="stream",
        says="objects of {resource} are written far more often than usual",
        needs=(see.late, it.written_often),
        confirms=(it.writes_dominate,),
        explains=(*OVERLOAD, "initial_events_burst"),
        instead_of=("list_storm",),
    ),
    Rule(
        fault="connections_unbalanced",
        scope="apiserver",
        says="{apiserver} serves most of the watches",
        needs=(see.burdened, it.most_watches, it.busy),
        confirms=(it.most_watches,),
        excludes=(see.peers_late,),
        explains=tuple(fault for fault in OVERLOAD if fault != "connections_unbalanced"),
    ),
    Rule(
        fault="requests_queued",
        scope="apiserver",
        says="requests wait in the queues of {apiserver} (API Priority and Fairness)",
        needs=(see.starts_slow,),
        confirms=(it.queued,),
        excludes=(see.watches_late, see.way_back_long, see.nothing_answers, see.stalled, it.busy, see.peers_store_slow),
        instead_of=("apiserver_overloaded", "path_slow"),
    ),
    Rule(
        fault="path_full",
        scope="apiserver",
        says="the way from {apiserver} to this exporter is full: a link, a balancer or a network card",
        needs=(see.late, see.way_back_long, see.rate_at_ceiling),
        confirms=(see.packets_lost, it.idle, see.peers_on_time),
        excludes=(see.stalled,),
        explains=("path_slow", "apiserver_overloaded", "objects_large"),
        instead_of=("apiserver_overloaded",),
    ),
    Rule(
        fault="path_slow",
        scope="apiserver",
        says="bytes from {apiserver} are long on their way to this exporter",
        needs=(see.late, see.way_back_long),
        confirms=(see.packets_lost, it.idle, see.peers_answer),
        excludes=(see.stalled, see.rate_at_ceiling),
        explains=("apiserver_overloaded", "requests_queued"),
        instead_of=("apiserver_overloaded", "store_slow"),
    ),
    Rule(
        fault="store_slow",
        scope="apiserver",
        says="the store (etcd) of {apiserver} answers slowly",
        needs=(see.store_polls_slow, see.cache_polls_prompt),
        behind_balancer=((see.late, it.etcd_slow),),
        confirms=(it.etcd_slow, see.peers_store_slow),
        excludes=(see.stalled, see.way_back_long, it.slow_only_here),
        explains=("cache_behind", "admission_slow", "requests_queued"),
        instead_of=("apiserver_overloaded", "path_slow", "admission_slow"),
    ),
    Rule(
        fault="apiserver_overloaded",
        scope="apiserver",
        says="{apiserver} is overloaded",
        needs=(see.all_late, see.cache_polls_slow),
        behind_balancer=((see.late, it.busy), (see.late, see.store_polls_slow, it.stores_prompt)),
        confirms=(it.busy,),
        excludes=(see.stalled, see.way_back_long),
        explains=("cache_behind", "conversion_slow", "store_slow", "watchers_closed"),
        instead_of=("store_slow", "path_slow", "cache_behind"),
    ),
    Rule(
        fault="admission_slow",
        scope="stream",
        says="writes of {resource} are slow before they are committed, as a slow admission webhook makes them; watches "
        "are not to blame",
        needs=(see.late_before_commit, see.store_polls_prompt),
        confirms=(it.webhook_slow,),
        excludes=(it.etcd_slow, see.unanswered_in_silence),
        instead_of=("store_slow",),
    ),
    Rule(
        fault="conversion_slow",
        scope="stream",
        says="a conversion webhook holds up every event of {resource}",
        needs=(see.late, see.behind_in_cache_or_alone, see.converts),
        confirms=(it.conversion_webhook_slow,),
        excludes=(see.all_late_of_several, see.cache_polls_slow, it.busy),
        explains=("cache_behind", "objects_large"),
        instead_of=("cache_behind",),
    ),
    Rule(
        fault="objects_large",
        scope="stream",
        says="objects of {resource} are so large that coding them takes the time",
        needs=(see.late, it.large),
        confirms=(see.others_on_time,),
        explains=tuple(fault for fault in OVERLOAD if fault != "conversion_slow"),
        instead_of=("path_full",),
    ),
    Rule(
        fault="cache_stuck",
        scope="stream",
        says="the watch cache of {resource} on {apiserver} stands still",
        needs=(see.cache_still, see.cache_polls_prompt),
        behind_balancer=((see.missing_long, it.cache_lacks),),
        confirms=(see.peers_delivered, it.inconsistent),
        explains=("cache_behind", "connection_dropped"),
        instead_of=("connection_dropped",),
    ),
    Rule(
        fault="connection_dropped",
        scope="stream",
        says="the connection that carries this exporter's watch of {resource} was dropped without a word",
        needs=(see.silent_connection, see.cache_polls_prompt),
        behind_balancer=((see.missing_long, see.alone_late, it.caches_have_it),),
        confirms=(see.socket_silent, see.peers_delivered),
        excludes=(see.cache_still,),
        instead_of=("cache_stuck",),
    ),
    Rule(
        fault="cache_behind",
        scope="stream",
        says="the watch cache of {resource} on {apiserver} is behind its store",
        needs=(see.late, see.behind_in_cache),
        behind_balancer=((see.late, it.cache_late),),
        confirms=(it.reads_wait, it.dispatch_slow, see.only_this_cache),
        excludes=(see.cache_polls_slow, see.all_cut, see.converts, it.busy),
        instead_of=("store_slow", "path_slow", "apiserver_overloaded", "conversion_slow"),
    ),
    Rule(
        fault="watchers_closed",
        scope="stream",
        says="{apiserver} closes watches of {resource} that do not keep up",
        needs=(see.closed_alone_or_prompt, it.terminates),
        confirms=(it.terminates,),
        explains=("clients_slow",),
    ),
    Rule(
        fault="connection_shared",
        scope="apiserver",
        says="clients of {apiserver} put many watches on one connection; this exporter's is alone on one, and on time",
        needs=(see.watches_prompt, it.shared_connections),
        confirms=(),
    ),
    Rule(
        fault="clients_slow",
        scope="stream",
        says="some clients of {apiserver} read their watches of {resource} slowly; this exporter's is on time",
        needs=(see.ours_prompt, it.sending_slow),
        confirms=(it.sending_slow,),
        excludes=(it.busy,),
    ),
)
RULE_OF = {rule.fault: rule for rule in RULES}


def _by_telling_sign(scope: Scope, *, is_one_apiserver: bool) -> dict[Sign, list[Rule]]:
    found: dict[Sign, list[Rule]] = {}
    for rule in RULES:
        if rule.scope == scope:
            for sign in rule.telling(is_one_apiserver=is_one_apiserver):
                found.setdefault(sign, []).append(rule)
    return found


BY_TELLING_SIGN: Mapping[tuple[Scope, bool], Mapping[Sign, Sequence[Rule]]] = {
    (scope, is_one): _by_telling_sign(scope, is_one_apiserver=is_one)
    for scope in get_args(Scope)
    for is_one in (True, False)
}
"""By the scope, and whether the address is one apiserver's."""

UNKNOWN_SAYS = "watches of {resource} on {apiserver} are late{where}, and the evidence does not say why"

BURDENS_OF_THE_STORE: frozenset[Fault] = frozenset(
    ("apiserver_restarted", "relist_storm", "list_storm", "write_storm", "objects_large")
)
"""What makes the store slow for every apiserver that shares it, wherever it is found."""

EXCLUSIVE: frozenset[frozenset[Fault]] = frozenset(
    frozenset(pair)
    for pair in (
        ("path_full", "path_slow"),
        ("cache_stuck", "connection_dropped"),
        ("cache_behind", "conversion_slow"),
        ("store_slow", "apiserver_overloaded"),
        ("store_slow", "path_slow"),
        ("requests_queued", "apiserver_overloaded"),
        ("apiserver_unreachable", "apiserver_restarted"),
    )
)
"""These are never shown together of the same place: what one needs excludes the other."""
