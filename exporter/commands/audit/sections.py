"""A report as titled tables and sentences, which the terminal and the page show alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from exporter.audit.advice import advice_for
from exporter.audit.requests import LIST_MEANINGS, WATCH_MEANINGS
from exporter.audit.sequences import RELIST_MEANINGS
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.audit.report import Activity, Client, Report
    from exporter.audit.writers import InTurns

LONGEST_CELL = 60
LONGEST_LINE = 600
MOST_KINDS = 4
SHORTEST_WAIT_SECONDS = 0.1


class AuditSection(msgspec.Struct, frozen=True):
    """A heading with rows below it, or sentences, or both."""

    rows: tuple[tuple[str, ...], ...]
    """The first is the heading of the columns; with a single cell it is a title."""
    sentences: tuple[str, ...] = ()


def title(report: Report) -> str:
    """What was read, in one line."""
    return (
        f"{report.events} events from {_time(report.since)} to {_time(report.until)}: "
        f"{report.seconds:.1f} server seconds of {report.clients_count} clients"
    )


def sections(report: Report) -> list[AuditSection]:
    """Those that have something to say."""
    found = [
        _who(report),
        _lists(report),
        _watches(report),
        _waits(report),
        _in_turns(report),
        _advice(report),
        AuditSection((("WHAT THIS LOG DOES NOT SAY",),), tuple(_doubts(report))),
    ]
    return [_printable(section) for section in found if len(section.rows) > 1 or section.sentences]


def _printable(section: AuditSection) -> AuditSection:
    """Names, user agents, resources and fields are what others wrote: none of it is a command for a terminal."""
    rows = (tuple(printable(cell, LONGEST_LINE) for cell in row) for row in section.rows)
    return AuditSection(tuple(rows), tuple(printable(sentence, LONGEST_LINE) for sentence in section.sentences))


_WHO = (
    "WHO",
    "USER AGENT",
    "SECONDS",
    "SHARE",
    "IN FLIGHT",
    "REQUESTS",
    "LISTS",
    "WATCHES",
    "RELISTS",
    "WRITES",
    "409",
    "429",
)


def _who(report: Report) -> AuditSection:
    rows = [
        (
            _shown(client.user or "(nobody)"),
            _shown(client.agent or "none"),
            f"{client.seconds:.1f}",
            f"{100 * client.share:.0f} %",
            f"{client.in_flight:.1f}",
            *(
                f"{count:.0f}"
                for count in (
                    client.count("requests"),
                    client.count("requests", "list"),
                    client.count("requests", "watch"),
                    client.count("relists"),
                    client.count("requests", "create", "update", "patch", "delete", "deletecollection"),
                    client.count("codes", "409"),
                    client.count("codes", "429"),
                )
            ),
        )
        for client in report.clients
    ]
    notes = (
        "Seconds: how long requests were with an apiserver, without watches, exec and the like.",
        "In flight: how many of them at a time, on average.",
        "Relists are inferred from the sequence of requests: an estimate.",
    )
    return AuditSection((_WHO, *rows), notes)


_LISTS = ("LISTS", "RESOURCE", "SECONDS", "HOW", "POLLS")


def _lists(report: Report) -> AuditSection:
    rows, kinds = [], set[str]()
    for client, activity in _activities(report):
        shapes = activity.counts.get("shapes", {})
        if shapes:
            kinds |= activity.counts["lists"].keys()
            seconds = activity.counts.get("seconds", {}).get("list", 0.0)
            rows.append((_name(client), activity.resource, f"{seconds:.1f}", _kinds(shapes), _polls(activity)))
    meanings = [f"{kind}: {meaning}." for kind, meaning in LIST_MEANINGS.items() if kind in kinds]
    return AuditSection((_LISTS, *rows), tuple(meanings))


def _polls(activity: Activity) -> str:
    if not activity.polls:
        return "none"
    most = activity.polls[0]
    return f"{activity.polls_count}, one of {most.lists} LISTs, every {_duration(most.every_seconds)}"


_WATCHES = ("WATCHES", "RESOURCE", "HOW", "ENDED AFTER", "BROKEN", "RELISTS", "STARTED")


def _watches(report: Report) -> AuditSection:
    rows, kinds, reasons = [], set[str](), set[str]()
    for client, activity in _activities(report):
        counts = activity.counts
        watches, relists, inferred = (counts.get(what, {}) for what in ("watches", "relists", "inferred"))
        if watches or relists:
            kinds |= watches.keys()
            reasons |= relists.keys()
            rows.append(
                (
                    _name(client),
                    activity.resource,
                    _kinds(watches),
                    _lifetimes(activity),
                    f"{inferred.get('broken streams', 0):.0f}",
                    _kinds(relists),
                    f"{inferred.get('informers started', 0):.0f}",
                )
            )
    meanings = [f"{kind}: {meaning}." for kind, meaning in WATCH_MEANINGS.items() if kind in kinds]
    meanings += [f"Relists, {reason}: {meaning}." for reason, meaning in RELIST_MEANINGS.items() if reason in reasons]
    notes = (
        "Broken: ended before its timeout, and the client went on. Started: informers that began from nothing.",
        "Both, and relists, are inferred: estimates.",
        f"{report.open_watches} watches were open at the end.",
    )
    return AuditSection((_WATCHES, *rows), (*meanings, *notes) if rows else ())


def _lifetimes(activity: Activity) -> str:
    lifetimes, ends = activity.counts.get("lifetimes", {}), activity.counts.get("ends", {})
    return (
        ", ".join(
            f"{_duration(lifetimes.get(end, 0.0) / count)} ({end}, {count:.0f} times)" for end, count in ends.items()
        )
        or "none"
    )


def _waits(report: Report) -> AuditSection:
    rows = [
        (_name(client), ", ".join(f"{wait} {waited:.1f} s" for wait, waited in waits.items()))
        for client in report.clients
        if (waits := _worth_saying(client.counts.get("waits", {})))
    ]
    note = "Only of requests that took more than half a second: an apiserver says nothing of the others."
    return AuditSection((("WHERE THE SECONDS WENT", ""), *rows), (note,) if rows else ())


def _worth_saying(waits: Mapping[str, float]) -> dict[str, float]:
    return {wait: waited for wait, waited in waits.items() if waited >= SHORTEST_WAIT_SECONDS}


_TURNS = ("WRITTEN IN TURNS", "BY", "TURNS", "ONE EACH")


def _in_turns(report: Report) -> AuditSection:
    return AuditSection((_TURNS, *(_fight(fight) for fight in report.in_turns)))


def _fight(fight: InTurns) -> tuple[str, ...]:
    where = f"{fight.resource} {fight.namespace}/{fight.name}" if fight.namespace else f"{fight.resource} {fight.name}"
    by = " and ".join(
        _shown(f"{writer.user} ({_product(writer.agent)}{f', {writer.pod}' if writer.pod else ''})")
        for writer in fight.writers
    )
    each = (fight.until - fight.since) / max(fight.turns - 1, 1)
    return (_shown(where, 2 * LONGEST_CELL), by, str(fight.turns), _duration(each))


def _advice(report: Report) -> AuditSection:
    said = []
    for client in report.clients:
        if remedies := advice_for(client):
            said.append(f"{_name(client)}:")
            said += [f"- {advice.name}: it {advice.remedy} (since: {advice.since})." for advice in remedies]
    return AuditSection((("ADVICE",),), tuple(said))


def _doubts(report: Report) -> Iterator[str]:
    yield from report.blind
    for count, what in (
        (report.unreadable, "lines or objects are no audit events and are left out."),
        (report.repeated, "events were there twice and are counted once."),
        (report.contradictory, "requests have times that cannot be right; their seconds are left out."),
        (report.forgotten, "watches or sequences were forgotten, because there were too many: relists may be missing."),
    ):
        if count:
            yield f"{count} {what}"


def _activities(report: Report) -> Iterator[tuple[Client, Activity]]:
    return ((client, activity) for client in report.clients for activity in client.resources)


def _name(client: Client) -> str:
    pods = f", {client.pods_count} Pods" if client.pods_count > 1 else "".join(f", {pod}" for pod in client.pods)
    return f"{_shown(client.user or '(nobody)')} ({_shown(_product(client.agent))}{_shown(pods)})"


def _product(agent: str) -> str:
    return agent.partition(" ")[0] or "no user agent"


def _kinds(counts: Mapping[str, float]) -> str:
    """The most frequent ones."""
    shown = [f"{_shown(kind)} {count:.0f}" for kind, count in list(counts.items())[:MOST_KINDS]]
    more = sum(list(counts.values())[MOST_KINDS:])
    return ", ".join([*shown, *([f"others {more:.0f}"] if more else [])]) or "none"


def _shown(text: str, longest: int = LONGEST_CELL) -> str:
    return printable(text, longest)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
