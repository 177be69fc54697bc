"""Cards between the sentence and the rows, and in rows: what the rules found, and what to do where no rule is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.diagnosis.document import SIGNS
from exporter.diagnosis.sentences import MOST_NAMES, concerns
from exporter.diagnosis.wording import listed
from exporter.diagnosis.words import (
    CERTAINTY_MEANINGS,
    CERTAINTY_WORDS,
    CONDITION_WORDS,
    FAULT_WORDS,
    INTERRUPTED_WORDS,
)
from exporter.web.page.figures import moment, since, text, with_code

if TYPE_CHECKING:
    from exporter.diagnosis.findings import Finding
    from exporter.diagnosis.words import TroubleWords
    from exporter.web.page.look import Look


def advice(words: TroubleWords) -> str:
    """What to do where it is not certain whether watches are late, or where they are interrupted."""
    what = CONDITION_WORDS["interrupted" if words in INTERRUPTED_WORDS.values() else "unknown"].capitalize()
    tag = f'<span class="tag" title="{words.clause}">{what}, {words.short}:</span>'
    link = f'<a href="{words.runbook}">Runbook</a>'
    return f'<p class="finding is-suspected advice">{tag} {with_code(words.advice)} {link}</p>'


def finding(one: Finding, look: Look, *, is_open: bool, says: bool) -> str:
    """What the rules found; it opens to the facts for and against it. `says`: with its sentence, as it stands nowhere
    near.
    """
    link = f'<a href="{text(one.runbook)}">Runbook</a>' if one.runbook.startswith(("http://", "https://")) else ""
    is_over = one.seen_until is not None
    lines = "".join(
        f"<dt>{heading}</dt>{''.join(f'<dd>{fact}</dd>' for fact in facts)}"
        for heading, facts in (
            ("Found", [text(one.claim)] if says else []),
            ("Seen then" if is_over else "Because", list(map(text, one.evidence))),
            ("If it returns" if is_over else "Do", list(map(with_code, one.steps))),
            ("Other causes", list(map(text, one.excluded))),
            ("Read", [link] if link else []),
        )
        if facts
    )
    kind = "over" if is_over else one.certainty
    head = f'{_tag(one)} {text(_place(one, look))}. <span class="soft">{_signs(one, look)}</span>'
    return (
        f'<details class="finding is-{kind}"{" open" if is_open else ""}><summary>{head}</summary>'
        f"<dl>{lines}</dl></details>"
    )


def _tag(one: Finding) -> str:
    words, certainty = FAULT_WORDS.get(one.fault, one.fault), CERTAINTY_WORDS[one.certainty]
    said = words if one.fault == "unknown_cause" else f"{certainty}: {words}"
    labels = f'fault="{one.fault}", certainty="{one.certainty}": {CERTAINTY_MEANINGS[one.certainty]}'
    return f'<span class="tag" title="{text(labels)}">{text(said[:1].upper() + said[1:])}</span>'


def _place(one: Finding, look: Look) -> str:
    """What it is about; of a whole apiserver or exporter, which of its streams suffer at the moment."""
    if one.resource:
        return f"{one.name} on {one.apiserver}"
    concerned = [state for state in look.states if concerns(one, state)]
    suffering = [
        f"{CONDITION_WORDS[condition]}: {listed(names, MOST_NAMES)}"
        for condition in ("violated", "down")
        if (names := [state.name for state in concerned if state.condition == condition])
    ]
    return "; ".join([one.apiserver or "this exporter", *suffering])


def _signs(one: Finding, look: Look) -> str:
    until = f", until {moment(one.seen_until, look.now)}" if one.seen_until is not None else ""
    return f"{SIGNS} {since(one.since, look.now, is_since_start=one.is_since_start)}{until}"
