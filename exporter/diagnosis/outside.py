"""Signs from outside, which rest on what we have measured ourselves; and those of our own process.

A peer (another apiserver, another resource), our own socket and our own event loop can also confirm.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from exporter.diagnosis.facts import SLOW_POLL_RATIO
from exporter.diagnosis.view import UNKNOWN, Observed, inverse, no, sign, yes
from exporter.diagnosis.wording import (
    about,
    are,
    at_least,
    at_least_seconds,
    at_most,
    at_most_seconds,
    between,
    counted,
    listed,
    seconds,
)
from exporter.vocabulary import FORCED_ENDS

if TYPE_CHECKING:
    from exporter.diagnosis.facts import PollFacts, StreamFacts
    from exporter.diagnosis.view import View

SLOW_POLL_SECONDS = 0.25
LONG_WAY_SECONDS = 0.2
MANY_REFUSED = 10
"""Of our requests in the last seconds: single ones are refused while a watch cache is filled."""

STALLED_SHARE = 0.1
LAGGING_SECONDS = 0.1
STUCK_SECONDS = 10.0
STORM_RATIO = 4.0
STORM_EVENTS_PER_SECOND = 50.0
BUSY_EVENTS_PER_SECOND = 200.0
"""A storm where it is not known what is usual."""

SILENT_EVENTS = 20.0
"""So many should have come. Writers stop as well, so that this alone is no fault of anybody's."""


# --- Watches, as we see them


def _is_troubled(stream: StreamFacts) -> bool:
    return stream.is_late or stream.uncovered_seconds > 0 or stream.canaries_lost > 0


@sign
def late(view: View) -> Observed:
    """More events than the objective allows are certainly late."""
    late_here = [one for one in view.here if one.is_late]
    if not late_here:
        return no("watches here are on time")
    worst = max(one.window_p99_seconds or at_least(one.time_span) for one in late_here)
    by = f", with a P99 of {at_least_seconds(worst)}" if worst else ""
    return yes(f"watches of {listed(one.name for one in late_here)} are late{by}")


@sign
def troubled(view: View) -> Observed:
    """Watches are late, time is uncovered, or polls are slow."""
    if any(_is_troubled(one) for one in view.all_here):
        return yes(f"watches of {listed(one.name for one in view.all_here if _is_troubled(one))} suffer")
    return _polls_slow(view)


def _polls_slow(view: View) -> Observed:
    slow = store_polls_slow.look(view)
    return slow if slow.holds else cache_polls_slow.look(view)


@sign
def burdened(view: View) -> Observed:
    """Watches are late, or polls are slow."""
    answer = late.look(view)
    return answer if answer.holds else _polls_slow(view)


@sign
def behind_in_cache(view: View) -> Observed:
    """The time is lost between the commit and the watch cache."""
    return _stage(view, "storage_to_cache", "from the commit into the watch cache")


@sign
def behind_in_cache_or_alone(view: View) -> Observed:
    """The time is lost between the commit and the watch cache; behind a balancer: all other resources are on time."""
    # Stages are not known there.
    return behind_in_cache.look(view) if view.apiserver.is_one_apiserver else alone_late.look(view)


@sign
def behind_after_cache(view: View) -> Observed:
    """The time is lost between the watch cache and the client."""
    return _stage(view, "cache_to_client", "from the watch cache to this exporter")


def _stage(view: View, stage: str, where: str) -> Observed:
    known = [bounds for one in view.here if one.is_late and (bounds := getattr(one, stage)) is not None]
    if not known:
        return UNKNOWN
    longest = max(known)
    if longest.earliest >= view.half:
        return yes(f"events take {between(longest)} {where}")
    most = max(bounds.latest for bounds in known)
    return no(f"events take {at_most_seconds(most)} {where}") if most < view.half else UNKNOWN


@sign
def late_before_commit(view: View) -> Observed:
    """The time is lost before the commit, between the write's time stamp and the commit."""
    slow = [one for one in view.here if at_least(one.write) >= view.half or at_least(one.canary_write) >= view.half]
    if slow:
        longest = max(max(at_least(one.write), at_least(one.canary_write)) for one in slow)
        return yes(f"writes of {listed(one.name for one in slow)} take {at_least_seconds(longest)}")
    known = [one for one in view.here if one.canary_write or one.write]
    return no("writes are prompt") if known else UNKNOWN


@sign
def unanswered_in_silence(view: View) -> Observed:
    """A write is not answered yet, and events are missing here: whatever holds them back may hold back the answer."""
    waits = any(one.canary_write is not None and one.canary_write.latest == inf for one in view.here)
    if not waits or any(at_least(one.write) >= view.half for one in view.here):
        return no("no write waits for its answer alone")
    threshold_seconds = view.facts.threshold_seconds
    missing = [
        one.name
        for one in view.all_here
        if one.is_up and (one.undelivered_seconds >= threshold_seconds or _fell_silent(one))
    ]
    return yes(f"events of {listed(missing)} do not come either") if missing else no("nothing is missing")


def _fell_silent(stream: StreamFacts) -> bool:
    """Whether nothing comes for a time that usually brings many events."""
    if stream.socket is None or stream.usual_events_per_second is None:
        return False
    return stream.socket.silent_seconds * stream.usual_events_per_second >= SILENT_EVENTS


@sign
def others_on_time(view: View) -> Observed:
    """Other resources on the same apiserver are on time."""
    on_time = [one.name for one in view.others if one.is_on_time]
    if on_time:
        where = "on the same apiserver" if view.apiserver.is_one_apiserver else "at the same address"
        return yes(f"{listed(on_time)} {where} {are(on_time)} on time")
    return no("other resources are late as well") if any(one.is_late for one in view.others) else UNKNOWN


@sign
def alone_late(view: View) -> Observed:
    """All other resources with events at the same address are on time."""
    late_as_well = [one.name for one in view.others if one.judged.get("late", 0) or not one.is_up]
    if late_as_well:
        return no(f"{listed(late_as_well)} {are(late_as_well)} not on time either")
    return others_on_time.look(view)


@sign
def all_late(view: View) -> Observed:
    """Every resource with events on this apiserver is late."""
    on_time = [one.name for one in view.all_here if one.is_on_time]
    if on_time:
        return no(f"{listed(on_time)} {are(on_time)} on time")
    late_here = [one.name for one in view.all_here if one.is_late]
    return yes(f"all that has events is late: {listed(late_here)}") if late_here else UNKNOWN


@sign
def peers_on_time(view: View) -> Observed:
    """The same resources are on time on another apiserver."""
    on_time = [one for one in view.peers if one.is_on_time]
    if on_time:
        names = listed(one.name for one in on_time)
        there = listed(one.apiserver for one in on_time)
        return yes(f"{names} {are([one.name for one in on_time])} on time on {there}")
    return no("other apiservers are late as well") if any(one.is_late for one in view.peers) else UNKNOWN


@sign
def only_this_cache(view: View) -> Observed:
    """The same resource is on time on another apiserver, and no other watch cache of this one is behind."""
    # Each cache has a watch of its own on the store: several that are behind at once have a common cause.
    behind = [one.name for one in view.others if one.is_late and at_least(one.storage_to_cache) >= view.half]
    return no(f"{listed(behind)} {are(behind)} behind as well") if behind else peers_on_time.look(view)


@sign
def peers_late(view: View) -> Observed:
    """The same resources are late on another apiserver as well."""
    late_there = [one for one in view.peers if one.is_late]
    if late_there:
        return yes(f"late as well on {listed(one.apiserver for one in late_there)}")
    return no("no other apiserver is late") if view.peers else UNKNOWN


@sign
def all_late_of_several(view: View) -> Observed:
    """Every one of several resources with events on this apiserver is late."""
    if sum(one.is_late or one.is_on_time for one in view.all_here) < 2:
        return UNKNOWN
    return all_late.look(view)


@sign
def ours_prompt(view: View) -> Observed:
    """This exporter's own watch of this resource is on time on the same apiserver."""
    on_time = [one for one in view.here if one.is_on_time]
    if not on_time:
        is_any_troubled = any(_is_troubled(one) for one in view.here)
        return no("this exporter's own watch is not on time") if is_any_troubled else UNKNOWN
    most = max(at_most(one.time_span) for one in on_time)
    return yes(f"this exporter's own watch of {listed(one.name for one in on_time)} is on time (P99 {about(most)})")


@sign
def watches_prompt(view: View) -> Observed:
    """Open watches are on time."""
    if any(one.is_late for one in view.all_here):
        return no("open watches are late as well")
    prompt = [one.name for one in view.all_here if one.is_on_time]
    return yes(f"open watches of {listed(prompt)} are on time") if prompt else UNKNOWN


@sign
def watches_late(view: View) -> Observed:
    """Open watches are late as well."""
    return inverse(watches_prompt.look(view))


@sign
def many_events(view: View) -> Observed:
    """Far more events than usual, here or on another apiserver, which may deliver more of them."""
    storms = [
        one for one in (*view.here, *view.peers) if one.events_per_second >= _storm_from(one.usual_events_per_second)
    ]
    if storms:
        worst = max(storms, key=lambda one: one.events_per_second)
        usual = worst.usual_events_per_second
        against = f", usually {usual:.0f}" if usual is not None else ""
        return yes(f"{worst.events_per_second:.0f} events of {worst.name} a second{against}")
    return no("there are no more events than usual")


def _storm_from(usual: float | None) -> float:
    return max(STORM_EVENTS_PER_SECOND, STORM_RATIO * usual) if usual is not None else BUSY_EVENTS_PER_SECOND


@sign
def converts(view: View) -> Observed:
    """Its definition converts by a webhook."""
    known = [one for one in view.here if one.converts_by_webhook is not None]
    if not known:
        names = [one.name for one in view.here]
        return no(f"{listed(names)} {are(names)} built in") if not any(one.group for one in view.here) else UNKNOWN
    webhook = [one.name for one in known if one.converts_by_webhook]
    return Observed(
        bool(webhook), f"{listed(webhook)} is converted by a webhook" if webhook else "no webhook converts it"
    )


# --- Ends of watches


def _was_cut(stream: StreamFacts) -> bool:
    return any(map(stream.ends.get, FORCED_ENDS))


@sign
def nothing_answers(view: View) -> Observed:
    """Every watch on this apiserver ended, or none could be opened, and it answered nothing."""
    refused = [one for one in view.all_here if not one.is_up and one.trouble in {"connect", "server_error"}]
    polls = view.apiserver.store_polls.answered + view.apiserver.cache_polls.answered
    if view.all_here and len(refused) == len(view.all_here) and not polls:
        return yes(f"none of {len(refused)} watches can be opened, and no poll is answered")
    return no("it answers")


@sign
def all_cut(view: View) -> Observed:
    """Every watch on this apiserver was cut a moment ago: it has to catch up with what came meanwhile."""
    cut = [one for one in view.all_here if _was_cut(one)]
    if cut and len(cut) == len(view.all_here):
        return yes(f"all {len(cut)} watches were cut")
    return no("not all watches were cut")


@sign
def was_away(view: View) -> Observed:
    """Every watch on this apiserver was cut, connections failed, and it answers again."""
    cut = all_cut.look(view)
    refused = sum(one.start_errors.get("connect", 0) for one in view.all_here)
    return yes(f"{cut.says}, and {refused} connections failed") if cut.holds and refused else no("it was not away")


@sign
def history_gone(view: View) -> Observed:
    """Watches that did not end at their time could not be resumed: their history was gone."""
    # One that ended at its time may find that of a quiet resource gone, and nobody else does.
    relists = sum(one.relists for one in view.all_here if one.ends.keys() != {"timeout"})
    return Observed(relists > 0, f"{counted(relists, 'watch', 'watches')} of this exporter had to relist")


@sign
def closed_alone(view: View) -> Observed:
    """One of this exporter's watches was closed early, and its others on this apiserver were not."""
    closed = [one.name for one in view.here if _was_cut(one)]
    if not closed:
        return no("this exporter's own was not closed")
    untouched = [one for one in view.others if not _was_cut(one)]
    return Observed(bool(untouched), f"this exporter's watch of {listed(closed)} was closed early")


@sign
def closed_alone_or_prompt(view: View) -> Observed:
    """This exporter's own watch is on time, or was closed early while its others on this apiserver were not."""
    closed = closed_alone.look(view)
    return closed if closed.holds else ours_prompt.look(view)


@sign
def silent_connection(view: View) -> Observed:
    """The connection says nothing, although the watch cache has something for it."""
    # Without a late event nothing was missed: events have no watch cache, so their quiet watches get no bookmarks.
    ended = [one for one in view.here if one.ends.get("silent") and one.is_late]
    if ended:
        return yes(f"the connection of {listed(one.name for one in ended)} said nothing until this exporter closed it")
    waits = _waits(view)
    if not waits:
        return no("nothing is missing")
    has = waits[0].is_undelivered_cached
    said = f"nothing has come for {seconds(waits[0].undelivered_seconds)}, although the watch cache has an event"
    return Observed(has, said if has else "the watch cache does not have it either")


def _waits(view: View) -> list[StreamFacts]:
    return [one for one in view.here if one.is_up and one.undelivered_seconds >= STUCK_SECONDS / 2]


@sign
def missing_long(view: View) -> Observed:
    """An event that is known to be written has not come for a while, on an open watch."""
    waits = _waits(view)
    if not waits:
        return no("nothing is missing")
    return yes(f"an event of {waits[0].name} has not come for {seconds(waits[0].undelivered_seconds)}")


@sign
def cache_still(view: View) -> Observed:
    """The watch cache stands still, although the store has something newer of this resource."""
    waits = [
        one
        for one in view.here
        if one.undelivered_seconds >= STUCK_SECONDS and (one.cache_still_seconds or 0.0) >= STUCK_SECONDS
    ]
    if not waits:
        return no("the watch cache moves")
    if waits[0].is_undelivered_cached is None:
        return UNKNOWN
    still = seconds(waits[0].cache_still_seconds or 0.0)
    return Observed(not waits[0].is_undelivered_cached, f"the watch cache has stood still for {still}")


@sign
def socket_silent(view: View) -> Observed:
    """The kernel has received nothing on the connection."""
    sockets = [one.socket for one in view.here if one.socket is not None]
    if not sockets:
        return UNKNOWN
    longest = max(socket.silent_seconds for socket in sockets)
    return Observed(longest >= STUCK_SECONDS / 2, f"the last byte came {seconds(longest)} ago")


@sign
def peers_delivered(view: View) -> Observed:
    """Another apiserver has delivered what is missing here."""
    if not any(one.undelivered_seconds >= STUCK_SECONDS / 2 for one in view.here):
        return no("nothing is missing")
    up = [one for one in view.peers if one.is_up and one.undelivered_seconds < STUCK_SECONDS / 2]
    return yes(f"{listed(one.apiserver for one in up)} has delivered it") if up else UNKNOWN


# --- Polls, and the way to us


def _polls(polls: PollFacts, name: str) -> Observed:
    usual = polls.usual_seconds
    slow = max(SLOW_POLL_SECONDS, SLOW_POLL_RATIO * usual if usual is not None else 0.0)
    if polls.waiting_seconds >= slow:
        return yes(f"its {name} are not answered for {seconds(polls.waiting_seconds)}")
    if polls.answered == 0 and polls.failed:
        return yes(f"none of its {name} is answered ({listed(sorted(polls.failed))})")
    if polls.seconds is None:
        return UNKNOWN
    if polls.seconds.earliest >= slow:
        against = f" (usually {about(usual)})" if usual is not None else ""
        return yes(f"its {name} take {at_least_seconds(polls.seconds.earliest)}{against}")
    return no(f"its {name} take {at_most_seconds(polls.seconds.latest)}")


@sign
def store_polls_slow(view: View) -> Observed:
    """Polls that read the store are slow."""
    if view.apiserver.store_polls_read != "store":
        return UNKNOWN
    return _polls(view.apiserver.store_polls, "polls of the store")


@sign
def cache_polls_prompt(view: View) -> Observed:
    """Polls that are answered from the watch cache, without the store, are prompt."""
    return inverse(cache_polls_slow.look(view))


@sign
def cache_polls_slow(view: View) -> Observed:
    """Polls that are answered from the watch cache are slow as well."""
    return _polls(view.apiserver.cache_polls, "polls of the watch cache")


@sign
def store_polls_prompt(view: View) -> Observed:
    """Polls that read the store are prompt."""
    return inverse(store_polls_slow.look(view))


@sign
def peers_store_slow(view: View) -> Observed:
    """Polls of the store are slow on other apiservers as well."""
    looked = [
        (peer.apiserver, _polls(peer.store_polls, "polls of the store"))
        for peer in view.peer_apiservers
        if peer.store_polls_read == "store"
    ]
    slow = [name for name, answer in looked if answer.holds]
    if slow:
        return yes(f"polls of the store are slow on {listed(slow)} as well")
    return no("polls of the store are prompt elsewhere") if looked else UNKNOWN


@sign
def peers_answer(view: View) -> Observed:
    """Other apiservers answer promptly."""
    prompt = [
        peer.apiserver
        for peer in view.peer_apiservers
        if peer.store_polls.answered and _polls(peer.store_polls, "polls").holds is False
    ]
    if prompt:
        return yes(f"{listed(prompt)} {'answers' if len(prompt) == 1 else 'answer'} promptly")
    return no("no other apiserver answers promptly") if view.peer_apiservers else UNKNOWN


@sign
def way_back_long(view: View) -> Observed:
    """Answers are long on their way to this exporter, by the time that the apiserver wrote on them (Date)."""
    way = view.apiserver.way_back
    if way is None:
        return UNKNOWN
    if way.earliest >= LONG_WAY_SECONDS:
        return yes(f"answers are {at_least_seconds(way.earliest)} on their way to this exporter")
    return no("answers are not long on their way to this exporter")


@sign
def rate_at_ceiling(view: View) -> Observed:
    """As many bytes come in every second, as where a link is full."""
    steady = [one for one in view.all_here if one.is_rate_steady]
    if steady:
        total = sum(one.bytes_per_second for one in view.all_here)
        return yes(f"watches bring {total / 1024:.0f} KiB in every second, no more and no less")
    return no("bytes come as events do")


@sign
def packets_lost(view: View) -> Observed:
    """Packets come out of order: some were lost on the way to this exporter."""
    sockets = [one.socket for one in view.all_here if one.socket is not None]
    if not sockets:
        return UNKNOWN
    lost = sum(socket.out_of_order_packets for socket in sockets)
    return Observed(lost > 0, f"{counted(lost, 'packet', 'packets')} came out of order")


@sign
def throttled(view: View) -> Observed:
    """Requests are answered with 429."""
    times = view.apiserver.throttled
    return Observed(times >= MANY_REFUSED, f"{counted(times, 'request', 'requests')} of this exporter got 429")


@sign
def starts_slow(view: View) -> Observed:
    """All polls are answered slowly, or refused with 429, though open watches are on time."""
    slow = store_polls_slow.look(view)
    both = cache_polls_slow.look(view)
    # While polls only wait, nobody knows either whether events are late: it is polls that tell.
    answered = [polls.seconds for polls in (view.apiserver.store_polls, view.apiserver.cache_polls) if polls.answered]
    if slow.holds and both.holds and any(at_least(one) >= SLOW_POLL_SECONDS for one in answered):
        return yes(f"{slow.says} and {both.says}")
    return throttled.look(view)


# --- The exporter itself


@sign
def stalled(view: View) -> Observed:
    """This exporter itself did not run for a part of the time."""
    process = view.facts.process
    if process.stalled_share >= STALLED_SHARE:
        return yes(f"this exporter did not run for {process.stalled_share:.0%} of the time")
    lag = at_least(process.loop_lag)
    if lag >= LAGGING_SECONDS:
        return yes(f"this exporter's event loop lags by {at_least_seconds(lag)}")
    return no("this exporter itself runs in time")


@sign
def ambiguous(view: View) -> Observed:
    """Events arrived of which nobody can say whether they are late."""
    events = sum(one.judged.get("ambiguous", 0) for one in view.facts.streams)
    total = sum(sum(one.judged.values()) for one in view.facts.streams)
    if not total:
        return UNKNOWN
    return Observed(events > 0.01 * total, f"{events} of {total} events cannot be judged")


@sign
def held_back(view: View) -> Observed:
    """The kernel held this exporter back, or has bytes that it has not read."""
    share = view.facts.process.throttled_share
    if share is not None and share > STALLED_SHARE / 2:
        return yes(f"its CPU limit stopped it for {share:.0%} of the time")
    unread = sum(one.socket.unread_bytes for one in view.facts.streams if one.socket is not None)
    if unread:
        return yes(f"{unread} bytes wait in the kernel to be read by it")
    return stalled.look(view)


@sign
def refused(view: View) -> Observed:
    """The apiserver refuses this exporter's watch: credentials (401) or permission (403)."""
    reasons = sorted({one.trouble for one in view.here if one.trouble in {"unauthorized", "forbidden"}})
    if not reasons:
        return no("nothing is refused")
    words = {"unauthorized": "its credentials are not valid (401)", "forbidden": "it has no permission (403)"}
    return yes(f"the apiserver answers that {listed(words[reason] for reason in reasons)}")
