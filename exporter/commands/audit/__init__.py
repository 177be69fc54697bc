"""`watchslo audit FILE...`: says who lists, relists, watches and writes how much, by an apiserver's audit log."""

from __future__ import annotations

import gc
import json
import sys
from typing import TYPE_CHECKING

import msgspec

from exporter.audit.counting import Audit
from exporter.audit.report import report_of
from exporter.commands.audit.files import CannotReadError, LogFiles
from exporter.commands.audit.page import page
from exporter.commands.audit.sections import sections, title
from exporter.commands.outputs import say_error
from exporter.commands.progress_line import ProgressLine
from exporter.commands.text_table import aligned, folded, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.audit.report import Report

__all__ = ["run"]

SILENT_SECONDS = 2.0


def run(names: Sequence[str], since: float | None, until: float | None, output: str) -> int:
    """Print what the logs say: 0; 2 if there is nothing in them that could be said."""
    gc.disable()  # nothing that is kept has cycles, and looking for them takes half of the time
    try:
        report = _read(names, since, until)
    except CannotReadError as error:
        say_error(str(error))
        return 2
    finally:
        gc.enable()
    match output:
        case "json":
            text = json.dumps(msgspec.to_builtins(report), indent=2, allow_nan=False)
        case "html":
            text = page(report)
        case _:
            text = table(report, width_of(sys.stdout))
    print(text)  # noqa: T201 the result
    return 0


def _read(names: Sequence[str], since: float | None, until: float | None) -> Report:
    if not names:
        raise CannotReadError("no file given: name audit logs, or - for standard input")
    audit = Audit()
    with ProgressLine(sys.stderr, SILENT_SECONDS) as progress:
        files = LogFiles(names, progress)
        for event in files.events():
            if (since is None or event.staged >= since) and (until is None or event.staged < until):
                audit.count(event)
        for name in files.cut_off:
            progress.advise(f"the compression of {name} ends before its end: what it has so far is read")
    if not audit.events:
        when = " of that time" if since is not None or until is not None else ""
        raise CannotReadError(f"there are no audit events{when} in {' and '.join(names)}")
    return report_of(audit, files.unreadable)


def table(report: Report, width: int | None = None) -> str:
    """For a terminal of this width; None if it is none."""
    parts = [folded(title(report), width)]
    for section in sections(report):
        notes = [line for sentence in section.sentences for line in folded(sentence, width)]
        parts.append([*(aligned(section.rows, width) if len(section.rows) > 1 else section.rows[0]), *notes])
    return "\n\n".join("\n".join(lines) for lines in parts)
