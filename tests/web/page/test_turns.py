"""However many streams there are: what holds the loop at a time is for one of them, or little for each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporter.diagnosis.sentences import sentences
from exporter.history.recording import FINE_SECONDS, History
from exporter.service import status
from exporter.web.page import document
from tests.speed.work import Work
from tests.support.states import look, state
from tests.support.steps import at_once

if TYPE_CHECKING:
    from exporter.web.page.row import Drawn

STREAMS = 60
STEPS = 90
NOW = 1_700_000_000.0


def longest(work: Work, steps: Iterator[object]) -> int:
    """Lines of Python that the longest step executes."""
    most, before = 0, work.lines
    with work.counting():
        for _ in steps:
            most, before = max(most, work.lines - before), work.lines
    return most


def test_no_step_of_the_page_reads_the_history_of_all_streams() -> None:
    states = [state(resource=f"widgets{number}") for number in range(STREAMS)]
    history = History()
    for number in range(STEPS):
        for _ in history.record(NOW + number * FINE_SECONDS, states):
            pass
    shown = look(*states, history=history, now=NOW + STEPS * FINE_SECONDS)
    kept: dict[str, Drawn] = {}
    work = Work()
    with work.counting():
        known = at_once(document.prepared(shown, {}))
    of_all = work.lines
    assert longest(work, document.prepared(shown, kept)) < of_all / 10
    assert longest(work, document.parts(shown, known, kept)) < of_all / 10


def test_no_step_finds_out_what_there_is_to_say_of_all_streams() -> None:
    states = [state(resource=f"widgets{number}") for number in range(STREAMS)]
    shown, work = look(*states, now=NOW), Work()
    with work.counting():
        sentences(states, [], NOW)
    in_one = work.lines
    assert longest(work, status.blocks(shown)) < in_one / 2
    assert longest(work, document.prepared(shown, {})) < in_one / 2
