"""A soak in, docs/soak.md out."""

import string
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.soak.churn import PERIOD_SECONDS, WRITES_PER_SECOND
from tests.soak.clients import ATTACKERS
from tests.soak.run import SAMPLE_SECONDS, Soak
from tests.soak.samples import COUNTED, QUANTITIES

PAGE = Path(__file__).parents[2] / "docs" / "soak.md"
PROSE = string.Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
FULL_MINUTES = 60.0
ROWS = 12


def page(soak: Soak) -> str:
    """All of it."""
    minutes = f"{soak.minutes:g}"
    answers = [(*what, times) for what, times in sorted(soak.answers.items())]
    return PROSE.substitute(
        command="make soak" if soak.minutes == FULL_MINUTES else f"python -m tests.soak --minutes {minutes}",
        minutes=minutes,
        period=f"{PERIOD_SECONDS:g}",
        sample=f"{SAMPLE_SECONDS:g}",
        flat="\n".join(flat(soak)),
        course="\n".join(course(soak)),
        rate=f"{WRITES_PER_SECOND:g}",
        attackers=ATTACKERS,
        done="\n".join(table(("what came and went", "times"), sorted(soak.churn.items()))),
        answers="\n".join(table(("who came", "answer", "times"), answers)),
        log=soak.log_bytes // 1024,
        tracebacks=soak.tracebacks,
        exit_code=soak.exit_code,
        faults="; ".join(soak.faults) or "nothing",
    )


def flat(soak: Soak) -> Iterator[str]:
    """What must not grow."""
    rows = [
        (
            one.quantity.name,
            f"{one.before:.1f}",
            f"{one.after:.1f}",
            f"{one.rise:+.1f}",
            f"{one.allowed:.1f}",
            f"{one.per_hour:+.1f}",
            "yes" if one.is_flat else "**no**",
        )
        for one in soak.trends
    ]
    yield from table(("", "at half time", "at the end", "rise", "allowed", "rise per hour", "flat"), rows)


def course(soak: Soak) -> Iterator[str]:
    """Some samples, with the exporter's own counters."""
    chosen = list(zip(soak.samples, soak.counters, strict=True))[:: max(1, len(soak.samples) // ROWS)]
    rows = [
        (
            f"{sample.at_seconds / 60:.1f}",
            *(f"{quantity.of(sample):.0f}" for quantity in QUANTITIES),
            *(f"{counted[name]:.0f}" for name in COUNTED),
        )
        for sample, counted in chosen
    ]
    names = (f"`watchslo_{name}`" for name in COUNTED)
    yield from table(("minute", *(quantity.name for quantity in QUANTITIES), *names), rows)


def table(columns: Iterable[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """In Markdown."""
    columns = list(columns)
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
