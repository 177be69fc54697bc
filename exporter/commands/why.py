"""`watchslo why`: whose fault it is that watches are late, in sentences or as JSON.

It asks a running exporter, or watches for a minute itself.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from exporter.commands.running import completed, quieter, set_by_signal
from exporter.commands.text_table import folded, width_of
from exporter.config import ConfigError
from exporter.diagnosis.document import document, since
from exporter.diagnosis.findings import claim
from exporter.limits import MOST_MESSAGE_BYTES
from exporter.service import logs
from exporter.service.daemon import Exporter, load_credentials, serving_nowhere
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.commands.asking import RunningExporter
    from exporter.config import Config
    from exporter.diagnosis.findings import Finding

PATH = "/api/v1/diagnosis"

NOTHING, SHOWN, SUSPECTED = 0, 1, 3


class FoundFault(msgspec.Struct):
    """A finding, of this version or a later one."""

    fault: str
    certainty: Literal["shown", "suspected"]
    since: str
    sentence: str
    evidence: list[str]
    excluded: list[str]
    remedy: str
    runbook: str
    is_since_start: bool = False
    seen_until: str | None = None
    steps: list[str] = []


class Diagnosis(msgspec.Struct):
    """The document of /api/v1/diagnosis."""

    version: int
    sentence: str
    findings: list[FoundFault]


def run(config: Config, duration_seconds: float, output: str, asked: RunningExporter | None) -> int:
    """Print what is found: 0 nothing, 1 a fault is shown, 3 one is suspected.

    Raises ConfigError if nobody can be asked, or the exporter that is `asked` does not answer with a diagnosis.
    """
    if asked is not None:
        body = asked.answer(PATH)
    else:
        logs.set_up(quieter(config))
        body = msgspec.json.encode(document(completed(_watched(config, duration_seconds))))
    try:
        diagnosis = msgspec.json.decode(body, type=Diagnosis)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        where = f"{asked.url if asked is not None else ''}{PATH}"
        raise ConfigError(f"--url: {where} does not answer with a diagnosis of watchslo") from None
    text = msgspec.json.format(body).decode() if output == "json" else "\n".join(_text(diagnosis, width_of(sys.stdout)))
    print(text)  # noqa: T201 a command line prints
    certainties = {found.certainty for found in diagnosis.findings}
    return SHOWN if "shown" in certainties else SUSPECTED if certainties else NOTHING


def _text(diagnosis: Diagnosis, width: int | None) -> Iterator[str]:
    if not diagnosis.findings:
        yield _line(diagnosis.sentence)
    for number, found in enumerate(diagnosis.findings):
        if number:
            yield ""
        when = since(found.since, found.seen_until, is_since_start=found.is_since_start)
        what = claim(found.fault, found.certainty, found.sentence, found.seen_until or "")
        yield from folded(_line(f"{what} {when}"), width)
        because = [f"because {said}" for said in found.evidence]
        first, *others = found.steps or [found.remedy]
        do = [f"what to do: {first}", *(f"then: {step}" for step in others)]
        for line in (*because, *found.excluded, *do, f"see {found.runbook}"):
            yield from folded(_line(line), width, "  ")


def _line(text: str) -> str:
    """All of it, unlike what an error message quotes."""
    return printable(text, MOST_MESSAGE_BYTES)


async def _watched(config: Config, duration_seconds: float) -> list[Finding]:
    """What is found within the time, also what was withdrawn again before its end: the last word of each."""
    stopping = asyncio.Event()
    exporter = Exporter(serving_nowhere(config), await load_credentials(config))
    with set_by_signal(stopping):
        async with exporter.running():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), duration_seconds)
            found, unready = exporter.findings_lately, exporter.not_ready()
    if unready and not found:
        raise ConfigError(f"nothing can be said yet: {unready[0]}")
    return found
