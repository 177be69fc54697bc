"""How long pods take to start, in a few lines: the stages of the last five minutes, and what all of it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.measure.startup_counts import WINDOW_SECONDS
from exporter.vocabulary import STARTUP_STAGES
from exporter.web.page.body import numbers, table
from exporter.web.page.figures import NOTHING, STARTUP_WORDS, between, count, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.measure.startup_counts import StartupState
    from exporter.measure.stream_state import StreamState
    from exporter.web.page.look import Look


def startup(look: Look) -> str:
    """A section; "" without --pod-startup. Nothing in it comes or goes, so that nothing below it moves."""
    follow = sorted((state for state in look.states if state.pod_startup is not None), key=_first)
    if not follow:
        return ""
    shown = follow[0]
    assert shown.pod_startup is not None
    one_of = f", one of {len(follow)} apiservers that each tell of all pods" if len(follow) > 1 else ""
    return (
        f'<section class="events startup"><h2>Pod start-up</h2><p class="soft">Of the last {WINDOW_SECONDS / 60:.0f} '
        f"minutes, as {text(shown.apiserver)} shows it{one_of}. SLI: without image pulls and init containers. "
        "Late watches: an estimate.</p>"
        f'<div class="part">{_stages(shown.pod_startup)}</div>'
        f'<div class="part">{numbers(_since_the_start(shown.pod_startup))}</div></section>'
    )


def _first(state: StreamState) -> tuple[bool, str]:
    """One that is watched; and always the same."""
    return not state.is_up, state.apiserver


def _stages(startup: StartupState) -> str:
    found = [(stage, startup.quantiles.get(stage)) for stage in STARTUP_STAGES]
    rows = [
        (STARTUP_WORDS[stage], between(known and known.p95), between(known and known.p99)) for stage, known in found
    ]
    return table(("stage", "P95", "P99"), rows, "Stages of pods' starts")


def _since_the_start(startup: StartupState) -> Iterator[tuple[str, str]]:
    counts, late = startup.counts, startup.counts.watch_share
    known, unknown = counts.results["sli"], counts.results["sli_pull_unknown"]
    share = counts.unknown_share
    yield "starting now", count(startup.starting)
    yield "pods of the SLI, since the start", count(known + unknown)
    yield "of these, pulls not known", NOTHING if share is None else f"{count(unknown)} ({share:.0%})"
    yield "other pods, since the start", count(sum(counts.results.values()) - known - unknown)
    yield (
        "share of late watches",
        NOTHING if late is None else f"{late.earliest:.1%}\N{EN DASH}{late.latest:.1%}",
    )
