"""However many streams there are: what holds the loop at a time is for one of them, or little for each."""

from collections.abc import Iterator

from exporter.history.recording import FINE_SECONDS, History
from exporter.web.page import document
from exporter.web.page.row import Drawn, prepared
from tests.speed.work import Work
from tests.support.states import look, state

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
    in_steps = max(longest(work, prepared(shown, kept)), longest(work, document.parts(shown, kept)))
    assert in_steps < longest(work, document.parts(shown, {})) / 10
