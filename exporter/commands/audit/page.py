"""The report as one HTML page that loads nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from exporter.commands.audit.sections import sections, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.audit.report import Report

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>watchslo audit</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; max-width: 100rem }
table { border-collapse: collapse; margin: 2rem 0 .5rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ccc }
</style>
"""


def page(report: Report) -> str:
    """The whole of it. Every text of the log is escaped."""
    return _HEAD + "\n".join([f"<h1>watchslo audit</h1>\n<p>{escape(title(report))}</p>", *_body(report)]) + "\n</html>"


def _body(report: Report) -> Iterator[str]:
    for section in sections(report):
        heading, *rows = section.rows
        if rows:
            cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
            head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
            yield f"<table>\n<tr>{head}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in cells) + "\n</table>"
        else:
            yield f"<h2>{escape(heading[0])}</h2>"
        yield from (f"<p>{escape(sentence)}</p>" for sentence in section.sentences)
