"""Signs in the apiserver's own metrics, which confirm or exclude what is seen from outside. Unknown without metrics."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.diagnosis import outside as see
from exporter.diagnosis.server_facts import ServerFacts, of_kind
from exporter.diagnosis.view import UNKNOWN, Observed, View, inverse, no, server_sign, sign, yes
from exporter.diagnosis.wording import OF_ONE_BEHIND, at_least_seconds, listed, seconds
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.diagnosis.facts import StreamFacts
    from exporter.diagnosis.server_facts import Kind, Timed

BUSY_RATIO = 0.85
"""Of the CPUs that the apiserver may use."""

WAITING_FOR_CPU_SECONDS = 0.05
QUEUED_SECONDS = 0.25
SLOW_STORE_SECONDS = 0.1
SLOW_WEBHOOK_SECONDS = 0.2
LARGE_BYTES = 64 * 1024
STORM_WRITES_PER_SECOND = 50.0
STORM_CONFLICTS_PER_SECOND = 5.0
FIGHT_CONFLICTS_PER_SECOND = 20.0
FIGHT_SHARE = 0.25
"""Of writes that conflict: together with the other limit that is no retry now and then."""

STORM_LISTED_OBJECTS_PER_SECOND = 20_000.0
HEAVY_LISTED_OBJECTS_PER_SECOND = 1_000.0
MANY_LISTS_PER_SECOND = 20.0
"""Which LISTs count, with and without the number of their objects."""

STORM_INITIAL_EVENTS_PER_SECOND = 5_000.0
"""Watches that resume are sent what they have missed as well: thousands of them, a few events each."""

STORM_SERVER_SHARE = 0.5
STORM_SERVER_SECONDS = 0.3
"""Of each second: less is no storm, whatever its share."""

HERD_SHARE = 0.2
HERD_FROM = 10
UNBALANCED_RATIO = 2.0
UNBALANCED_FROM = 500
STREAMS_PER_CONNECTION = 40
"""On average of all connections, most of which carry few; Go's HTTP/2 server opens 100 on one (Kubernetes 1.29 and
later, --http2-max-streams-per-connection)."""

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})


@server_sign
def busy(view: View, server: ServerFacts) -> Observed:
    """It uses nearly all of its CPUs, or its goroutines wait for a CPU."""
    del view
    used, cores, waiting = server.cpu_cores_used, server.cpu_cores, server.scheduling
    if used is not None and cores and used >= BUSY_RATIO * cores:
        return yes(f"it uses {used:.1f} of {cores:.0f} CPUs")
    if waiting is not None and waiting.most_seconds >= WAITING_FOR_CPU_SECONDS:
        return yes(f"its goroutines wait {_most(waiting)} for a CPU")
    if used is None and waiting is None:
        return UNKNOWN
    return no(f"it uses {used:.1f} of {cores:.0f} CPUs" if used is not None and cores else "CPUs are free")


@server_sign
def idle(view: View, server: ServerFacts) -> Observed:
    """It has free CPUs."""
    del server
    return inverse(busy.look(view))


@server_sign
def started_anew(view: View, server: ServerFacts) -> Observed:
    """Its process has just started."""
    if server.started_at is None:
        return UNKNOWN
    age = view.facts.now - server.started_at
    return Observed(age < 120, f"its process started {seconds(max(0.0, age))} ago")


@sign
def slow_only_here(view: View) -> Observed:
    """Polls of the same store are prompt on other apiservers, and its own metrics do not blame etcd."""
    elsewhere = see.peers_store_slow.look(view)
    if elsewhere.holds is not False or view.member is not None:
        return UNKNOWN
    # Stacked control planes have a member of etcd each; but whoever lacks CPU finds its etcd slow as well.
    blames_etcd = etcd_slow.look(view).holds and not busy.look(view).holds
    return no("its own etcd is slow") if blames_etcd else yes(elsewhere.says)


@server_sign
def etcd_slow(view: View, server: ServerFacts) -> Observed:
    """Requests to etcd are slow."""
    del view
    done = {name: timed for name, timed in server.store_requests.items() if timed.per_second > 0}
    if not done:
        return UNKNOWN
    name, worst = max(done.items(), key=lambda item: item[1].mean_seconds)
    said = f"its requests to etcd take {seconds(worst.mean_seconds)} on average ({name})"
    return Observed(worst.mean_seconds >= SLOW_STORE_SECONDS, said)


@sign
def stores_prompt(view: View) -> Observed:
    """The metrics of no apiserver behind the address say that its requests to etcd are slow."""
    looked = [etcd_slow.look(one) for one in view.of_members()]
    known = [answer for answer in looked if answer.holds is not None]
    if not known:
        return UNKNOWN
    slow = next((answer for answer in known if answer.holds), None)
    return Observed(slow is None, f"{OF_ONE_BEHIND}{(slow or known[0]).says}")


@server_sign
def webhook_slow(view: View, server: ServerFacts) -> Observed:
    """An admission webhook is slow."""
    del view
    return _slowest(server.admission_webhooks, "the admission webhook")


@server_sign
def conversion_webhook_slow(view: View, server: ServerFacts) -> Observed:
    """The conversion webhook of this resource is slow."""
    names = {f"{one.resource}.{one.group}" for one in view.here} | {"*"}
    ours = {name: timed for name, timed in server.conversion_webhooks.items() if name in names}
    return _slowest(ours, "the conversion webhook")


@server_sign
def reads_wait(view: View, server: ServerFacts) -> Observed:
    """Consistent reads wait for this watch cache, or give up."""
    return _reads_wait(view, server)


def _reads_wait(view: View, server: ServerFacts) -> Observed:
    for one in view.here:
        gave_up = of_kind(server.cache_fallbacks, one.group, one.resource)
        if gave_up:
            return yes(f"{gave_up:.0f} consistent reads of {one.name} gave up waiting for the watch cache")
        waited = of_kind(server.cache_read_wait, one.group, one.resource)
        if waited is not None and waited.most_seconds >= view.half:
            return yes(f"consistent reads of {one.name} waited {_most(waited)} for the watch cache")
    return no("no consistent read waited for it") if server.cache_read_wait else UNKNOWN


@server_sign
def cache_late(view: View, server: ServerFacts) -> Observed:
    """Consistent reads wait for this watch cache, it lacks what was written, or its stage up to it is slow (1.37)."""
    for answer in (_reads_wait(view, server), _lacks(view, server, view.half)):
        if answer.holds:
            return answer
    return _dispatch(view, server, "storage_to_cache")


@server_sign
def cache_lacks(view: View, server: ServerFacts) -> Observed:
    """Its watch cache does not have what was written seconds before."""
    return _lacks(view, server, see.STUCK_SECONDS)


def _lacks(view: View, server: ServerFacts, least_seconds: float) -> Observed:
    lacked = {one.name: known for one in view.here if (known := _lacked_seconds(one, server)) is not None}
    if not lacked:
        return UNKNOWN
    name, longest = max(lacked.items(), key=lambda item: item[1])
    if not longest:
        return no(f"its watch cache of {name} has all that is known to be written")
    said = f"its watch cache of {name} lacked an event {at_least_seconds(longest)} after it was written"
    return Observed(longest >= least_seconds, said)


def _lacked_seconds(stream: StreamFacts, server: ServerFacts) -> float | None:
    """For how long, at least, its watch cache had lacked what misses here when it was asked; 0 if it has it."""
    missing, revision = stream.undelivered, of_kind(server.cache_revisions, stream.group, stream.resource)
    if missing is None or revision is None or server.asked is None:
        return None
    if revision >= missing.revision:
        return 0.0
    return server.asked - missing.since if server.asked > missing.since else None


@server_sign
def caches_have_it(view: View, server: ServerFacts) -> Observed:
    """The watch caches of all apiservers that are known behind the address, two or more, have what does not come."""
    del server
    members = view.apiserver.members
    lacked = [_lacked_seconds(one, member) for one in view.here for member in members]
    if len(members) < 2 or None in lacked:
        return UNKNOWN
    return Observed(not any(lacked), "its watch cache, and that of each other one that is known there, has it")


@server_sign
def dispatch_slow(view: View, server: ServerFacts) -> Observed:
    """Its own stages are slow up to the watch cache (1.37)."""
    return _dispatch(view, server, "storage_to_cache")


@server_sign
def sending_slow(view: View, server: ServerFacts) -> Observed:
    """Its own stages are slow after the watch cache (1.37)."""
    return _dispatch(view, server, "")


def _dispatch(view: View, server: ServerFacts, stage: str) -> Observed:
    stages = [
        (name, timed)
        for one in view.here
        for kind in ((one.group, one.resource), ("*", one.resource))
        for name, timed in server.dispatch.get(kind, {}).items()
        if timed.per_second > 0
        if (name == stage if stage else name not in {"storage_to_cache", "total"})
    ]
    if not stages:
        return UNKNOWN
    name, worst = max(stages, key=lambda one: one[1].most_seconds)
    return Observed(worst.most_seconds >= view.half, f"its stage {name} takes {_most(worst)}")


@server_sign
def inconsistent(view: View, server: ServerFacts) -> Observed:
    """It has found that the watch cache differs from etcd."""
    for one in view.here:
        failed = of_kind(server.cache_inconsistencies, one.group, one.resource)
        if failed:
            return yes(f"it has found {failed:.0f} times that the watch cache of {one.name} differs from etcd")
    return UNKNOWN


@server_sign
def large(view: View, server: ServerFacts) -> Observed:
    """Objects of this resource are large, as this apiserver or another one sends or stores them."""
    servers = (server, *view.other_servers(server))
    known: dict[str, float] = {}
    for one in view.here:
        sizes = [size for each in servers if (size := of_kind(each.object_bytes, one.group, one.resource)) is not None]
        if sizes:
            known[one.name] = max(sizes)
    if not known:
        return UNKNOWN
    name, size = max(known.items(), key=lambda item: item[1])
    return Observed(size >= LARGE_BYTES, f"an object of {name} has {size / 1024:.0f} KiB on average")


@server_sign
def lists_dominate(view: View, server: ServerFacts) -> Observed:
    """Most of its time goes into LISTs of many objects."""
    del view
    by_kind = {kind: timed for (verb, kind), timed in server.requests.items() if verb == "LIST"}
    if not by_kind:
        return UNKNOWN
    # Where everything is slow, small LISTs like our polls take long as well.
    heavy = {kind: timed.per_second * timed.mean_seconds for kind, timed in by_kind.items() if _is_heavy(kind, server)}
    if not heavy:
        return no(
            f"it answers {sum(timed.per_second for timed in by_kind.values()):.0f} LISTs a second, of few objects"
        )
    kind = max(heavy, key=heavy.__getitem__)
    objects = _listed_objects(kind, server) or 0.0
    if objects >= STORM_LISTED_OBJECTS_PER_SECOND:
        return yes(f"LISTs of {_kind(kind)} read {objects:.0f} objects a second")
    total = sum(timed.per_second * timed.mean_seconds for timed in server.requests.values())
    listed_seconds = sum(heavy.values())
    said = (
        f"LISTs take {seconds(listed_seconds)} of each second, {listed_seconds / total if total else 0:.0%} of all its "
        f"time, most for {_kind(kind)} ({by_kind[kind].per_second:.1f} a second)"
    )
    return Observed(heavy[kind] >= STORM_SERVER_SECONDS and listed_seconds >= STORM_SERVER_SHARE * total, said)


def _is_heavy(kind: Kind, server: ServerFacts) -> bool:
    objects = _listed_objects(kind, server)
    if objects is None:
        return server.requests["LIST", kind].per_second >= MANY_LISTS_PER_SECOND
    return objects >= HEAVY_LISTED_OBJECTS_PER_SECOND


def _listed_objects(kind: Kind, server: ServerFacts) -> float | None:
    """None where the apiserver does not tell it of any kind."""
    return of_kind(server.listed_objects_per_second, *kind) or 0.0 if server.listed_objects_per_second else None


@server_sign
def herd(view: View, server: ServerFacts) -> Observed:
    """Many watches began anew."""
    del view
    before, now = server.open_watches_before, sum(server.open_watches.values())
    if not before:
        return UNKNOWN
    said = f"it has {now:.0f} open watches, {before:.0f} before"
    return Observed(abs(now - before) >= max(HERD_SHARE * before, HERD_FROM), said)


@server_sign
def initial_events(view: View, server: ServerFacts) -> Observed:
    """The whole state of a resource is replayed to watches that begin."""
    del view
    most = max(server.initial_events_per_second.items(), key=lambda item: item[1], default=None)
    if most is None:
        return UNKNOWN
    said = f"{most[1]:.0f} objects of {_kind(most[0])} a second are replayed to watches that begin"
    return Observed(most[1] >= STORM_INITIAL_EVENTS_PER_SECOND, said)


@server_sign
def writes_dominate(view: View, server: ServerFacts) -> Observed:
    """Many writes, or many that conflict."""
    writes, conflicts, said = _writes(view, server)
    return Observed(writes >= STORM_WRITES_PER_SECOND or conflicts >= STORM_CONFLICTS_PER_SECOND, said)


def _writes(view: View, server: ServerFacts) -> tuple[float, float, str]:
    """Of these resources in a second, how many of them conflict, and both in words."""
    # Where the apiserver names no group, its requests may be of any.
    kinds = {kind for one in view.here for kind in ((one.group, one.resource), ("*", one.resource))}
    writes = sum(
        timed.per_second for (verb, kind), timed in server.requests.items() if verb in WRITES and kind in kinds
    )
    conflicts = sum(rate for kind, rate in server.conflicts_per_second.items() if kind in kinds)
    names = listed({one.name for one in view.here})
    return writes, conflicts, f"{writes:.0f} writes of {names} a second, {conflicts:.0f} of them conflict"


@server_sign
def fought_over(view: View, server: ServerFacts) -> Observed:
    """Many writes conflict: more than one client writes the same objects."""
    writes, conflicts, said = _writes(view, server)
    return Observed(conflicts >= max(FIGHT_CONFLICTS_PER_SECOND, FIGHT_SHARE * writes), said)


@sign
def written_often(view: View) -> Observed:
    """Far more events than usual; or many writes conflict, by its metrics (an overloaded apiserver delivers few)."""
    fought = fought_over.look(view)
    return fought if fought.holds else see.many_events.look(view)


@server_sign
def queued(view: View, server: ServerFacts) -> Observed:
    """Requests wait in the queues of API Priority and Fairness, or are rejected."""
    del view
    waiting, rejected, wait = server.queued_requests, server.rejected_per_second, server.queue_wait
    if rejected:
        return yes(f"{rejected:.1f} requests a second are rejected")
    if wait is not None and wait.most_seconds >= QUEUED_SECONDS:
        return yes(f"requests wait {_most(wait)} in its queues")
    if waiting:
        return yes(f"{waiting:.0f} requests wait in its queues")
    return UNKNOWN if waiting is None and wait is None else no("no request waits in its queues")


@server_sign
def most_watches(view: View, server: ServerFacts) -> Observed:
    """It has at least twice as many open watches as the others."""
    elsewhere = [sum(other.open_watches.values()) for other in view.other_servers(server)]
    if not elsewhere:
        return UNKNOWN
    here, mean = sum(server.open_watches.values()), sum(elsewhere) / len(elsewhere)
    said = f"it has {here:.0f} open watches, the others {mean:.0f}"
    return Observed(here >= UNBALANCED_RATIO * mean and here - mean >= UNBALANCED_FROM, said)


@server_sign
def terminates(view: View, server: ServerFacts) -> Observed:
    """It closes watches by force, because they do not keep up."""
    for one in view.here:
        closed = of_kind(server.terminated_watchers, one.group, one.resource)
        if closed:
            return yes(f"it has closed {closed:.0f} watches of {one.name} by force")
    return no("it has closed no watch by force")


@server_sign
def shared_connections(view: View, server: ServerFacts) -> Observed:
    """Many watches share each connection."""
    del view
    watches, connections = sum(server.open_watches.values()), server.open_connections
    if not connections:
        return UNKNOWN
    said = f"{watches:.0f} watches come over at most {connections:.0f} connections"
    return Observed(watches >= STREAMS_PER_CONNECTION * connections, said)


def _slowest(webhooks: Mapping[str, Timed], what: str) -> Observed:
    called = {name: timed for name, timed in webhooks.items() if timed.per_second > 0}
    if not called:
        return UNKNOWN
    name, worst = max(called.items(), key=lambda item: item[1].mean_seconds)
    named = "" if name == "*" else f" {name}"
    said = f"{what}{named} takes {seconds(worst.mean_seconds)} on average"
    return Observed(worst.mean_seconds >= SLOW_WEBHOOK_SECONDS, said)


def _most(timed: Timed) -> str:
    return f"up to {seconds(timed.most_seconds)}" if timed.most_seconds < inf else "longer than it counts"


def _kind(kind: Kind) -> str:
    group, resource = kind
    return kind_name("" if group == "*" else group, resource)
