"""The rules as a page of documentation, so that it cannot say anything else than they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.diagnosis.remedies import steps
from exporter.diagnosis.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.diagnosis.rules import Rule
    from exporter.diagnosis.view import Sign
    from exporter.vocabulary import Fault

_HEAD = """\
# Whose fault it is

While watches are late, or time is uncovered, watchslo says which fault it is. This page is made from
the rules themselves (`scripts/docs`). A fault is **suspected** when everything under *If you see*
is there, which is measured from outside, and nothing under *Never if*. It is **confirmed**, `shown`
in labels and JSON, when something under *Confirmed by* is there as well: the apiserver's own
metrics, another apiserver or resource, or this exporter's own socket and event loop. If the
evidence does not say which fault it is, watchslo says that: `unknown_cause`.

Behind a balancer the metrics of each apiserver are told apart by the start of its process, but not
which of them a watch comes from. There they make a fault suspected, and confirm nothing
([decision 29](decisions/0029-apiservers-behind-a-balancer.md)).

Where findings are seen: `watchslo why`, `/api/v1/diagnosis` ([its fields](diagnosis.md)), the first
page of this exporter, `watchslo_fault` ([metrics](metrics.md)) and the log. How often it was right
when the faults were really made: [faults-measured.md](faults-measured.md).

Where the control plane is managed, steps on its nodes are the provider's: send them what
`watchslo why --output json` says, the page, and the times in UTC.

| fault | what it is |
|---|---|
"""


def reference_markdown() -> str:
    """The whole page: a table to find a fault, and a section for each, in the order in which they are preferred."""
    rows = [f"| [`{rule.fault}`](#{rule.fault}) | {_general(rule.says)} |" for rule in RULES]
    rows.append("| [`unknown_cause`](#unknown_cause) | watches are late, and the evidence does not say why |")
    sections = [line for rule in RULES for line in _section(rule)]
    unknown = ["## unknown_cause", "", *_remedy("unknown_cause")]
    return _HEAD + "\n".join([*rows, "", *sections, *unknown])


def _section(rule: Rule) -> Iterator[str]:
    yield from (f"## {rule.fault}", "", f"{_general(rule.says)[0].upper()}{_general(rule.says)[1:]}.", "")
    yield from _signs("If you see", rule.needs)
    for needs in rule.behind_balancer:
        yield from _signs("Behind a balancer also if you see", needs)
    yield from _signs("Confirmed by", rule.confirms)
    yield from _signs("Never if", rule.excludes)
    if rule.explains:
        yield f"- It also explains, and is named instead of: {_faults(rule.explains)}"
    if rule.instead_of:
        yield f"- Most easily mistaken for: {_faults(rule.instead_of)}"
    yield ""
    yield from _remedy(rule.fault)


def _remedy(fault: Fault) -> Iterator[str]:
    yield from ("What to do:", "")
    yield from (f"{number}. {step}" for number, step in enumerate(steps(fault), 1))
    yield ""


def _signs(heading: str, signs: Iterable[Sign]) -> Iterator[str]:
    titles = list(dict.fromkeys(sign.title for sign in signs))
    if titles:
        yield f"- {heading}: {'; '.join(titles)}"


def _faults(faults: Iterable[str]) -> str:
    return ", ".join(f"[`{fault}`](#{fault})" for fault in faults)


def _general(says: str) -> str:
    return says.replace("{resource}", "a resource").replace("{apiserver}", "an apiserver")
