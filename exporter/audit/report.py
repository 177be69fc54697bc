"""What an audit log says, as values: who costs how much, asks for what, relists and writes; and what it cannot say."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

import msgspec

from exporter.audit.counting import OTHERS, CountedRow, RowKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.audit.counting import Audit, What
    from exporter.audit.writers import InTurns

MOST_CLIENTS = 20
MOST_RELISTING = 10
"""More of them, which relist most: a streaming list costs no server seconds, and may cost most."""

MOST_RESOURCES = 10
MOST_FIGHTS = 20
MOST_POLLS = 3
SHOWN_PODS = 5

One = TypeVar("One")

Counts = dict[str, dict[str, float]]
"""By what is counted, and by its kind."""


class Poll(msgspec.Struct, frozen=True):
    """A resource that is listed again and again without a watch."""

    lists: int
    every_seconds: float


class Activity(msgspec.Struct, frozen=True):
    """What one client did with one resource."""

    resource: str
    seconds: float
    counts: Counts
    polls: tuple[Poll, ...]
    """The longest; each is another selector, namespace or process."""
    polls_count: int


class Client(msgspec.Struct, frozen=True):
    """One user with one user agent."""

    user: str
    agent: str
    pods: tuple[str, ...]
    """Some of them."""
    pods_count: int
    seconds: float
    share: float
    """Of the server seconds of everybody who is in the log."""
    in_flight: float
    """How many of its requests were with an apiserver at a time, on average."""
    counts: Counts
    resources: tuple[Activity, ...]
    """Those that cost most, and of the others those that relist most."""

    def count(self, what: What, *kinds: str) -> float:
        """The sum of these kinds, or of all."""
        counts = self.counts.get(what, {})
        return sum(counts.get(kind, 0) for kind in kinds or counts)


class Report(msgspec.Struct, frozen=True):
    """The answer to: who was it?"""

    since: float
    until: float
    events: int
    unreadable: int
    repeated: int
    contradictory: int
    forgotten: int
    """Sequences, and watches that were open, of so many that the oldest were forgotten."""
    seconds: float
    open_watches: int
    requests: Mapping[str, float]
    """Of everybody, by verb."""
    clients_count: int
    clients: tuple[Client, ...]
    """Those that cost most, and of the others those that relist most."""
    in_turns: tuple[InTurns, ...]
    blind: tuple[str, ...]
    """What the log leaves out, a sentence each."""


def report_of(audit: Audit, unreadable: int = 0) -> Report:
    """What was counted so far, and how many texts were no events."""
    since, until = audit.times or (0.0, 0.0)
    by_client: dict[tuple[str, str], dict[RowKey, CountedRow]] = defaultdict(dict)
    for key, row in audit.rows.items():
        by_client[key.user, key.agent][key] = row
    polls = _polls(audit)
    whole = _sum(audit.rows.values())
    seconds = whole.of("seconds")
    ranked = sorted((_client(rows, polls, seconds, until - since) for rows in by_client.values()), key=_rank)
    return Report(
        since=since,
        until=until,
        events=audit.events,
        unreadable=unreadable,
        repeated=audit.repeated,
        contradictory=audit.contradictory,
        forgotten=audit.forgotten,
        seconds=seconds,
        open_watches=audit.open_watches,
        requests=_grouped(whole).get("requests", {}),
        clients_count=len(ranked),
        clients=tuple(_first(ranked, MOST_CLIENTS, MOST_RELISTING, lambda client: client.count("relists"))),
        in_turns=tuple(audit.writers.in_turns()[:MOST_FIGHTS]),
        blind=tuple(_blind(audit, whole)),
    )


def _sum(rows: Iterable[CountedRow]) -> CountedRow:
    whole = CountedRow()
    for row in rows:
        whole.add(row)
    return whole


def _first(ranked: list[One], most: int, relisting: int, relists: Callable[[One], float]) -> list[One]:
    others = sorted((one for one in ranked[most:] if relists(one)), key=relists, reverse=True)
    return [*ranked[:most], *others[:relisting]]


def _rank(client: Client) -> tuple[bool, float, float, str, str]:
    return client.user == OTHERS.user, -client.seconds, -client.count("requests"), client.user, client.agent


def _client(
    rows: Mapping[RowKey, CountedRow], polls: Mapping[RowKey, list[Poll]], all_seconds: float, span: float
) -> Client:
    key, whole = next(iter(rows)), _sum(rows.values())
    seconds = whole.of("seconds")
    dearest = sorted(rows, key=lambda key: ([-cost for cost in rows[key].cost], key))
    first = _first(dearest, MOST_RESOURCES, MOST_RELISTING, lambda key: rows[key].of("relists"))
    return Client(
        user=key.user,
        agent=key.agent,
        pods=tuple(sorted(whole.pods)[:SHOWN_PODS]),
        pods_count=len(whole.pods),
        seconds=seconds,
        share=seconds / all_seconds if all_seconds else 0.0,
        in_flight=seconds / span if span else 0.0,
        counts=_grouped(whole),
        resources=tuple(_activity(key, rows[key], polls.get(key, [])) for key in first),
    )


def _activity(key: RowKey, row: CountedRow, polls: list[Poll]) -> Activity:
    most = sorted(polls, key=lambda poll: (-poll.lists, poll.every_seconds))[:MOST_POLLS]
    return Activity(key.resource, row.of("seconds"), _grouped(row), tuple(most), len(polls))


def _grouped(row: CountedRow) -> Counts:
    """Without what never happened; the most frequent first."""
    counts: Counts = {}
    for (what, kind), count in sorted(row.counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1])):
        if count:
            counts.setdefault(what, {})[kind] = count
    return counts


def _polls(audit: Audit) -> dict[RowKey, list[Poll]]:
    polls: dict[RowKey, list[Poll]] = defaultdict(list)
    for key, sequence in audit.sequences.values():
        if (every_seconds := sequence.poll_seconds) is not None:
            polls[key if key in audit.rows else OTHERS].append(Poll(sequence.lists, every_seconds))
    return polls


def _blind(audit: Audit, whole: CountedRow) -> Iterator[str]:
    requests, lists = _grouped(whole).get("requests", {}), _grouped(whole).get("lists", {})
    missing = [verb for verb in ("list", "watch") if not requests.get(verb)]
    if missing:
        yield (
            f"It has no {' and no '.join(missing)}. The audit policy may leave that out, as AKSAuditAdmin and GKE "
            "without Data Access logs do: nobody is cleared by this log."
        )
    if requests.get("watch") and not audit.started_watches:
        yield "It has watches only when they end (omitStages: ResponseStarted): open ones are not seen."
    if set(lists) == {"unknown"}:
        yield "It has no queries: LISTs and watches are counted, but not by kind, and relists cannot be inferred."
    if audit.untimed:
        yield f"It does not say how long {audit.untimed} of the requests took."
    yield (
        "Which share of all requests it has is not known: the policy leaves some out, and other apiservers have logs "
        "of their own. Compare the counts by verb with apiserver_request_total of the same time before you clear "
        "anybody."
    )
