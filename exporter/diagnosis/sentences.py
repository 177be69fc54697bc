"""Are the watches late, which, where, since when and why: in words, the most severe first."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from exporter.diagnosis.wording import listed
from exporter.diagnosis.words import DOUBT_WORDS, INTERRUPTED_WORDS, START_WORDS, so_often, with_value
from exporter.measure.interruptions import FORCED_CLOSES_AGAIN, RELISTS_AGAIN
from exporter.measure.stream_state import NOT_INTERRUPTED
from exporter.vocabulary import DOUBTS
from exporter.wording.moments import clock, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.diagnosis.findings import Finding
    from exporter.diagnosis.words import TroubleWords
    from exporter.measure.stream_state import CanaryTrouble, StreamState
    from exporter.measure.times import WallTime
    from exporter.vocabulary import DoubtReason, ShownCondition

    _Kind = tuple[ShownCondition, DoubtReason | None, bool]
    """Its condition, why that is unknown, and whether only the window still has it."""

MOST_NAMES = 4
"""A list in a sentence has no more names than these."""

MOST_FINDINGS = 3

CANARY_NEWS_SECONDS = 900.0
"""A canary that was lost is told of for so long: events may be too few to make one of them a breach."""

SAME_SHARE = 0.05
"""Lifetimes of watches that differ by less are the same."""

WHO_CLOSES = "The apiserver closes them, or something on the way does."
"""Why, as far as it is known without a finding."""

AS_IT_BEGAN = "soon after this exporter began to watch"
"""Since then at least, where nobody looked before."""

SEVERE_FIRST: tuple[ShownCondition, ...] = ("violated", "down", "unknown", "interrupted", "met", "quiet")
"""What is certainly late is said first: it is what the objective is about."""


def sentences(states: Iterable[StreamState], findings: Sequence[Finding], now: WallTime) -> list[str]:
    """One for each kind of trouble and its cause, the last for what is fine."""
    survey = Survey(findings)
    for state in states:
        survey.add(state)
    return survey.sentences(now)


class Survey:
    """The same of streams that are added one by one: hundreds at once would hold the event loop for long."""

    def __init__(self, findings: Sequence[Finding], past: Sequence[Finding] = ()) -> None:
        self._findings = findings
        self._past = past
        self._live = [one for one in findings if one.seen_until is None]
        self._by_kind: dict[_Kind, list[StreamState]] = {}
        self._noted: list[StreamState] = []
        self._by_name: dict[tuple[str, str], StreamState] = {}
        self.explaining: list[Finding] = []
        """Of the past findings those that say why a stream is in a condition that is over."""

    def add(self, state: StreamState) -> None:
        """The next stream."""
        self._by_name[state.group, state.resource] = state
        kind = (state.shown_condition, state.doubt, is_over(state, self._live))
        self._by_kind.setdefault(kind, []).append(state)
        if kind[-1]:
            self.explaining += [one for one in self._past if one not in self.explaining and _explains(one, state)]
        if _is_noted(state):
            self._noted.append(state)

    def sentences(self, now: WallTime) -> list[str]:
        """Of all that were added."""
        if not self._by_kind:
            return ["Nothing is watched yet."]
        told: list[Finding] = []
        said: list[str] = []
        findings, live, groups = self._findings, self._live, self._groups()
        noted = _Group("interrupted", self._noted, groups[0].names)
        for words, group in _troubles(groups, noted, now):
            said.append(words)
            known = [*findings, *self.explaining] if group.is_over else findings
            causes = [one for one in known if one not in told and any(concerns(one, each) for each in group.states)]
            said += [one.claim for one in causes[:MOST_FINDINGS] if not _says_it(group, one)]
            said += _without_a_cause(group, live)
            told += causes
        if not live and _among(noted, is_closed_again) is not None:
            said.append(WHO_CLOSES)
        said += [one.claim for one in live if one not in told][:MOST_FINDINGS]
        said += _calm(groups, live, is_all=not said)
        said += [one.claim for one in findings if one not in live and one not in told][:MOST_FINDINGS]
        said += _passing(noted, now)
        said += _lost_canaries(noted, now)
        return said

    def _groups(self) -> list[_Group]:
        """The most severe first."""
        plurals = Counter(plural for _, plural in self._by_name)
        names = {key: one.name if plurals[one.resource] > 1 else one.resource for key, one in self._by_name.items()}
        kinds = [
            (one, why, is_over)
            for one in SEVERE_FIRST
            for why in (DOUBTS if one == "unknown" else (None,))
            for is_over in (False, True)
        ]
        return [_Group(kind[0], self._by_kind[kind], names, *kind[1:]) for kind in kinds if kind in self._by_kind]


def _troubles(groups: Sequence[_Group], noted: _Group, now: WallTime) -> Iterator[tuple[str, _Group]]:
    """In words, and of which streams."""
    for group in groups:
        if group.condition in _OF_TROUBLE:
            yield _OF_TROUBLE[group.condition](group, now), group
    for is_concerned, say in ((is_closed_again, _closed), (is_relisted_again, _relisted)):
        of_it = _among(noted, is_concerned)
        if of_it is not None:
            yield say(of_it, now), of_it


def _says_it(group: _Group, finding: Finding) -> bool:
    """Whether the finding has nothing to add: no watch is open because this exporter is refused."""
    return group.condition == "down" and finding.fault == "exporter_refused" and finding.seen_until is None


def _without_a_cause(group: _Group, live: Sequence[Finding]) -> Iterator[str]:
    """Of what is late the streams whose cause is not found, if that of others is."""
    known = [one for one in live if one.fault != "unknown_cause" and any(concerns(one, each) for each in group.states)]
    rest = [state for state in group.states if not any(concerns(one, state) for one in live)]
    if group.condition == "violated" and known and rest:
        of_rest = replace(group, states=rest)
        yield f"No cause is found for {of_rest.resources} on {of_rest.where}."


def advised(state: StreamState) -> Iterator[TroubleWords]:
    """What people may do about a condition, whatever its cause."""
    if state.doubt is not None:
        yield DOUBT_WORDS[state.doubt]
    if is_closed_again(state):
        yield INTERRUPTED_WORDS["forced_closes"]
    if is_relisted_again(state):
        yield INTERRUPTED_WORDS["relists"]


def is_over(state: StreamState, findings: Sequence[Finding]) -> bool:
    """Whether only the window still has it. While a cause is seen nothing is: late may be what has not arrived yet."""
    return state.fading is not None and not any(concerns(one, state) for one in findings if one.seen_until is None)


def concerns(finding: Finding, state: StreamState) -> bool:
    """Whether a finding is about this stream."""
    # The group "" is core's: nodes.longhorn.io are no nodes.
    is_of_it = not finding.resource or (finding.group, finding.resource) == (state.group, state.resource)
    return is_of_it and finding.apiserver in {"", state.apiserver}


def _explains(past: Finding, state: StreamState) -> bool:
    """Whether what was found was still seen when the stream came into its condition."""
    is_of_then = state.since is not None and past.seen_until is not None and past.seen_until >= state.since
    return is_of_then and concerns(past, state)


def seconds(value: float) -> str:
    """As precise as anybody wants to read it."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"


class _Group(msgspec.Struct, frozen=True):
    """The streams in one condition, or about which there is the same to say."""

    condition: ShownCondition
    states: list[StreamState]
    names: dict[tuple[str, str], str]
    doubt: DoubtReason | None = None
    is_over: bool = False
    """Whether only the window still has it."""

    @property
    def resources(self) -> str:
        return listed((self.names[one.group, one.resource] for one in self.states), MOST_NAMES)

    @property
    def where(self) -> str:
        return listed((one.apiserver for one in self.states), MOST_NAMES)

    def since(self, now: WallTime) -> str:
        times = [(one.since, not one.is_since_start) for one in self.states if one.since is not None]
        if not times:
            return ""
        at, is_seen = min(times)
        return f" since {when(at, now)}" if is_seen else f" at least since {when(at, now)}, {AS_IT_BEGAN}"

    @property
    def over(self) -> str:
        """When the last of it was over, and when the window has forgotten all of it."""
        known = [one.fading for one in self.states if one.fading is not None]
        if not self.is_over:
            return ""
        ended, leaves = max([one.ended for one in known]), max([one.leaves for one in known])
        return f"; that was over at {clock(ended)}, and stays in the window until {clock(leaves)} UTC"


def _late(group: _Group, now: WallTime) -> str:
    p99 = max([one.window.p99_lower_seconds or 0.0 for one in group.states])
    are, since = "are", group.since(now)
    if group.is_over:
        are, since = "were", since.replace("since", "from")
    of_it = f"Watches of {group.resources} {are} certainly late on {group.where}{since}"
    return f"{of_it}, with a P99 of at least {seconds(p99)}{group.over}."


def _down(group: _Group, now: WallTime) -> str:
    reasons = {one.trouble.reason for one in group.states if one.trouble is not None}
    if reasons == {"not started yet"}:
        return f"The watches of {group.resources} on {group.where} have not started yet."
    known = [with_value(words, reason) for reason, words in START_WORDS.items() if reason in reasons]
    why = f": {listed(known, MOST_NAMES)}" if known else ""
    of_it = f"No watch of {group.resources} is open on {group.where}{group.since(now)}{why}"
    return f"{of_it}; whether they are late is not known."


def _unknown(group: _Group, now: WallTime) -> str:
    why = DOUBT_WORDS[group.doubt or "wide"].clause
    if group.doubt == "wide":
        lowest = min([one.window.p99_lower_seconds or 0.0 for one in group.states])
        highest = max([one.window.p99_upper_seconds or 0.0 for one in group.states])
        why = f"the bounds are too wide, with a P99 between {seconds(lowest)} and {seconds(highest)}"
    of_it = f"whether watches of {group.resources} are late on {group.where}"
    return f"It is not certain{group.since(now)} {of_it}: {why}{group.over}."


def _is_noted(state: StreamState) -> bool:
    """Whether anything but its condition is to be said of it; of hundreds of streams that are few."""
    return state.interruptions != NOT_INTERRUPTED or state.canary_trouble is not None


def _among(noted: _Group, is_one: Callable[[StreamState], bool]) -> _Group | None:
    """Of these streams those of which this is true."""
    states = [state for state in noted.states if is_one(state)]
    return replace(noted, states=states) if states else None


def is_closed_again(state: StreamState) -> bool:
    """Whether its watches are closed by force, again and again."""
    return state.is_interrupted and state.interruptions.forced_closes >= FORCED_CLOSES_AGAIN


def is_relisted_again(state: StreamState) -> bool:
    """Whether its watches have to relist, again and again."""
    return state.is_interrupted and state.interruptions.relists >= RELISTS_AGAIN


def _is_passing(state: StreamState) -> bool:
    """Whether it was closed by force, and nothing came of that."""
    run = state.interruptions
    is_whole = state.is_up and state.window.is_covered and not run.relists
    return is_whole and run.forced_closes > 0 and not run.is_repeated


def _closed(group: _Group, now: WallTime) -> str:
    each = _so_often_each([one.interruptions.forced_closes for one in group.states])
    on_time = all(one.window.state == "met" for one in group.states)
    still = "; what they deliver is on time" if on_time else ""
    run = f"closed by force again and again since {_began(group, now)}, {each}{_after(group)}{still}"
    return f"Watches of {group.resources} on {group.where} have been {run}."


def _after(group: _Group) -> str:
    """How long they had been open: whoever has a limit closes all after the same time."""
    runs = [one.interruptions for one in group.states]
    shortest = [run.shortest_seconds for run in runs if run.shortest_seconds is not None]
    longest = [run.longest_seconds for run in runs if run.longest_seconds is not None]
    if not shortest or not longest:
        return ""
    low, high = min(shortest), max(longest)
    is_same = high - low <= max(1.0, SAME_SHARE * high)
    return f", each time after about {seconds(high)}" if is_same else f", after {seconds(low)} to {seconds(high)}"


def _relisted(group: _Group, now: WallTime) -> str:
    each = _so_often_each([one.interruptions.relists for one in group.states])
    run = f"relist again and again since {_began(group, now)}, {each}: events may be missing each time"
    return f"Watches of {group.resources} on {group.where} have had to {run}."


def _so_often_each(times: Sequence[int]) -> str:
    often = so_often(max(times))
    return f"up to {often} each" if len(times) > 1 else often


def _passing(noted: _Group, now: WallTime) -> Iterator[str]:
    """What is normal, as long as it does not happen again."""
    group = _among(noted, _is_passing)
    if group is not None:
        often = so_often(max([one.interruptions.forced_closes for one in group.states]))
        was = f"closed by force {often} since {_began(group, now)}, and resumed where they had ended"
        yield f"Watches of {group.resources} on {group.where} were {was}."


def is_news(trouble: CanaryTrouble, now: WallTime) -> bool:
    """Whether it is not too long ago."""
    return now - trouble.at < CANARY_NEWS_SECONDS


def _lost_canaries(noted: _Group, now: WallTime) -> Iterator[str]:
    """What may be too little to miss the objective."""
    group = _among(noted, lambda one: _lost_at(one, now) is not None)
    if group is not None:
        at = when(max([_lost_at(one, now) or 0.0 for one in group.states]), now)
        of = f"of {group.resources} on {group.where}"
        if sum([one.counts.canaries_lost for one in group.states]) > 1:
            yield f"Canaries {of} were lost, the last at {at}: their events did not come in time."
        else:
            yield f"A canary {of} was lost at {at}: its event did not come in time."


def _lost_at(state: StreamState, now: WallTime) -> WallTime | None:
    """When its last canary was lost, if that is news."""
    trouble = state.canary_trouble
    return trouble.at if trouble is not None and trouble.what == "lost" and is_news(trouble, now) else None


def _began(group: _Group, now: WallTime) -> str:
    return when(min([one.interruptions.since or now for one in group.states]), now)


_OF_TROUBLE = {"violated": _late, "down": _down, "unknown": _unknown}


def _calm(groups: Sequence[_Group], live: Sequence[Finding], *, is_all: bool) -> Iterator[str]:
    """What is said of streams that are on time, or quiet; nothing of those of which something else is found."""
    by_condition = {group.condition: group for group in groups}
    met, quiet = by_condition.get("met"), by_condition.get("quiet")
    if met is not None:
        fine = [one for one in met.states if not any(found.resource and concerns(found, one) for found in live)]
        met = replace(met, states=fine) if fine else None
    if met is not None and is_all and quiet is None:
        p99 = max([one.window.p99_upper_seconds or 0.0 for one in met.states])
        within = f", within {seconds(p99)} at P99" if p99 < inf else ""
        yield f"All watches are on time: {met.resources} on {met.where}{within}."
    elif met is not None:
        yield f"{_capitalized(met, groups)} fine."
    if quiet is not None:
        yield f"Too few events to judge {quiet.resources} on {quiet.where}."


def _capitalized(met: _Group, groups: Sequence[_Group]) -> str:
    """What is on time, by its names if these say which watches are meant."""
    fine = {(one.group, one.resource) for one in met.states}
    states = {id(one) for one in met.states}
    others = [one for group in groups for one in group.states if id(one) not in states]
    is_elsewhere = any((one.group, one.resource) in fine for one in others)
    if is_elsewhere or len(fine) > MOST_NAMES:
        count = len(met.states)
        return f"{count} other watches are" if count > 1 else "One other watch is"
    return f"{met.resources[0].upper()}{met.resources[1:]} are"
