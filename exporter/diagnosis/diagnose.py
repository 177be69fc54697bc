"""Rules over the facts of one moment: what is found, most certain and most exact first.

In steps: many streams at once would hold the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.diagnosis import outside as see
from exporter.diagnosis.audited import who
from exporter.diagnosis.rules import BURDENS_OF_THE_STORE, BY_TELLING_SIGN, RULE_OF, RULES, UNKNOWN_SAYS, Rule
from exporter.diagnosis.view import Sign, View
from exporter.diagnosis.wording import OF_ONE_BEHIND
from exporter.diagnosis.words import FAULT_WORDS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from exporter.diagnosis.facts import Facts
    from exporter.diagnosis.rules import Scope
    from exporter.diagnosis.view import Observed
    from exporter.vocabulary import Certainty, Fault


class Cause(NamedTuple):
    """What is found of one moment; a Finding is what lasts."""

    fault: Fault
    certainty: Certainty
    apiserver: str
    group: str
    resource: str
    says: str
    evidence: tuple[str, ...]
    excluded: tuple[str, ...]
    confirmed: tuple[str, ...] = ()
    """What of the evidence has confirmed it."""

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is."""
        return self.apiserver, self.group, self.resource


def diagnose(facts: Facts) -> Generator[None, None, list[Cause]]:
    """What is found, in steps, between which the event loop may run."""
    causes = _found(View(facts, facts.apiservers[0]), "exporter") if facts.apiservers else []
    for apiserver in facts.apiservers:
        whole = View(facts, apiserver)
        here = _found(whole, "apiserver")
        of_streams: list[Cause] = []
        for stream in whole.all_here:
            yield
            view = View(facts, apiserver, stream)
            found = _found(view, "stream")
            of_streams += _unexplained_by(here, found) or _unexplained(view, here)
        causes += _unexplained_by(of_streams, here) + of_streams
    return _without_its_symptoms_elsewhere(causes)


def _without_its_symptoms_elsewhere(causes: list[Cause]) -> list[Cause]:
    """Apiservers share their store: what burdens it through one of them makes it slow for all."""
    if any(cause.fault in BURDENS_OF_THE_STORE and cause.certainty == "shown" for cause in causes):
        return [cause for cause in causes if cause.fault != "store_slow"]
    return causes


def _found(view: View, scope: Scope) -> list[Cause]:
    found: dict[Fault, Cause] = {}
    for one in (view, *view.of_members()):
        for cause in _causes(one, scope):
            found.setdefault(cause.fault, cause)
    causes = list(found.values())
    return _unexplained_by(causes, causes)


def _causes(view: View, scope: Scope) -> list[Cause]:
    telling = BY_TELLING_SIGN[scope, view.apiserver.is_one_apiserver]
    possible = {rule.fault for sign, rules in telling.items() if sign.look(view).holds for rule in rules}
    if not possible:  # as while all is well
        return []
    return [cause for rule in RULES if rule.fault in possible and (cause := _cause(rule, view)) is not None]


def _unexplained_by(better: list[Cause], causes: list[Cause]) -> list[Cause]:
    """Those that no better cause explains; what is only suspected does not explain what is shown."""
    explained = {
        fault
        for cause in better
        if cause.fault in RULE_OF
        for fault in RULE_OF[cause.fault].explains
        if cause.certainty == "shown" or not _is_shown(fault, causes)
    }
    return [cause for cause in causes if cause.fault not in explained]


def _is_shown(fault: Fault, causes: Iterable[Cause]) -> bool:
    return any(cause.fault == fault and cause.certainty == "shown" for cause in causes)


def _cause(rule: Rule, view: View) -> Cause | None:
    needed = _all_there(rule.needs, view)
    is_of_one_behind = needed is None and not view.apiserver.is_one_apiserver
    if is_of_one_behind:
        needed = next(filter(None, (_all_there(needs, view) for needs in rule.behind_balancer)), None)
    if needed is None or any(sign.look(view).holds for sign in rule.excludes):
        return None
    there = [(sign, answer) for sign in rule.confirms if (answer := sign.look(view)).holds]
    from_outside, of_member = view, set[Sign]()
    if view.member is not None:
        from_outside = View(view.facts, view.apiserver, view.stream)
        of_member = {sign for sign, _ in (*needed, *there) if not sign.look(from_outside).holds}
    # Whether our watch comes from that apiserver nobody can say: it makes nothing certain.
    is_certain = not any(sign in of_member for sign, _ in needed)
    confirmed = [answer.says for sign, answer in there if is_certain and sign not in of_member]
    said = [f"{OF_ONE_BEHIND * (sign in of_member)}{answer.says}" for sign, answer in (*needed, *there)]
    return Cause(
        rule.fault,
        "shown" if confirmed else "suspected",
        *_place(rule, view),
        _filled(rule.says, view, is_of_one_behind=is_of_one_behind or bool(of_member)),
        tuple(dict.fromkeys([*said, *_who(rule, view)])),
        tuple(_excluded(rule, from_outside)),
        tuple(confirmed),
    )


def _all_there(signs: Sequence[Sign], view: View) -> list[tuple[Sign, Observed]] | None:
    """None if one of them is not."""
    there = []
    for sign in signs:
        answer = sign.look(view)
        if not answer.holds:
            return None
        there.append((sign, answer))
    return there


def _who(rule: Rule, view: View) -> tuple[str, ...]:
    return who(rule.fault, view.stream.name if view.stream is not None else "", view.facts, view.apiserver)


def _excluded(rule: Rule, view: View) -> Iterator[str]:
    """Of each fault that this one is mistaken for most easily: the first fact that speaks against it."""
    for fault in rule.instead_of:
        other = RULE_OF[fault]
        for sign, wanted in [*((one, True) for one in other.needs), *((one, False) for one in other.excludes)]:
            answer = sign.look(view)
            if answer.holds is not None and answer.holds is not wanted and answer.says:
                yield f"no {FAULT_WORDS[fault]}: {answer.says}"
                break


def _unexplained(view: View, here: list[Cause]) -> list[Cause]:
    stream = view.stream
    assert stream is not None
    answer = see.late.look(view)
    if not answer.holds or any(cause.fault != "connection_shared" for cause in here):
        return []
    looked = (see.behind_in_cache, see.behind_after_cache, see.store_polls_prompt, see.peers_on_time)
    known = [said.says for sign in looked if (said := sign.look(view)).holds is not None]
    place = (stream.apiserver, stream.group, stream.resource)
    says = _filled(UNKNOWN_SAYS.replace("{where}", _where(view)), view)
    whose = who("unknown_cause", stream.name, view.facts, view.apiserver)
    return [Cause("unknown_cause", "suspected", *place, says, (answer.says, *known, *whose), ())]


def _where(view: View) -> str:
    if see.behind_in_cache.look(view).holds:
        return " before they are in its watch cache"
    return " after its watch cache has them" if see.behind_after_cache.look(view).holds else ""


def _place(rule: Rule, view: View) -> tuple[str, str, str]:
    if rule.scope == "exporter":
        return "", "", ""
    stream = view.stream
    return (view.apiserver.apiserver, stream.group, stream.resource) if stream else (view.apiserver.apiserver, "", "")


def _filled(says: str, view: View, *, is_of_one_behind: bool = False) -> str:
    resource = view.stream.name if view.stream is not None else "everything"
    apiserver = f"{'an apiserver behind ' * is_of_one_behind}{view.apiserver.apiserver}"
    return says.replace("{apiserver}", apiserver).replace("{resource}", resource)
