"""What was played in, docs/faults-measured.md out."""

import json
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

from tests.faults.playing import Played

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "faults-measured.json"
PAGE = DOCS / "faults-measured.md"
PROSE = string.Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
COLUMNS = ("fault made", "strength", "named first", "then", "named after", "withdrawn after", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One fault that was made, and what came of it."""

    fault: str
    strength: str
    setting: str
    first: str
    certainty: str
    names: list[str]
    named_seconds: float | None
    withdrawn_seconds: float | None
    wrong_shown: list[str]
    outcome: str
    """right, wrong, shown wrong, not named, or no trouble."""

    @classmethod
    def of(cls, played: Played) -> Self:
        """What is kept of it."""
        return cls(
            played.fault,
            played.strength,
            played.setting,
            *played.first,
            played.names,
            played.named_seconds,
            played.withdrawn_seconds,
            sorted(played.wrong_shown),
            played.outcome,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """A newer one takes the place of an older one."""
        return self.fault, self.strength, self.setting


@dataclass(slots=True)
class Results:
    """All rows that were ever played, the newest of each, and on what."""

    date: str = ""
    version: str = ""
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def read(cls) -> Self:
        """What was written before."""
        if not RESULTS.exists():
            return cls()
        kept = json.loads(RESULTS.read_text(encoding="utf-8"))
        return cls(kept["date"], kept["version"], [Row(**row) for row in kept["rows"]])

    def add(self, played: Played) -> Row:
        """Take in one more."""
        row = Row.of(played)
        self.rows = [one for one in self.rows if one.key != row.key] + [row]
        return row

    def write(self) -> None:
        """The figures, and the page."""
        RESULTS.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """All of it."""
        settings = list(dict.fromkeys(row.setting for row in self.rows))
        return PROSE.substitute(
            date=self.date,
            version=self.version,
            summary="\n".join(table(("", *SUMMARY), [summary(name, self.of(name)) for name in settings])),
            matrices="\n\n".join(section(name, self.of(name)) for name in settings),
        )

    def of(self, setting: str) -> list[Row]:
        """The rows of one setting."""
        return [row for row in self.rows if row.setting == setting]


SUMMARY = ("faults made", "trouble", "right name first", "wrong name first", "wrong, shown", "named after", "withdrawn")
TITLES = {
    "peers": "Two apiservers, whose metrics are read",
    "balancer": "Behind a balancer's address",
    "metrics-off": "Without the apiservers' metrics",
}


def summary(setting: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """One line."""
    troubled = [row for row in rows if row.outcome != "no trouble"]
    named = [row.named_seconds for row in troubled if row.named_seconds is not None]
    withdrawn = [row.withdrawn_seconds for row in troubled if row.withdrawn_seconds is not None]
    return (
        TITLES.get(setting, setting),
        str(len(rows)),
        str(len(troubled)),
        share(sum(row.outcome == "right" for row in troubled), len(troubled)),
        share(sum(row.outcome in {"wrong", "wrong, shown"} for row in troubled), len(troubled)),
        str(sum(bool(row.wrong_shown) for row in troubled)),
        spread(named),
        spread(withdrawn),
    )


def share(part: int, whole: int) -> str:
    """As a share and as it was counted."""
    return f"{part / whole:.0%} ({part})" if whole else ""


def spread(values: Sequence[float]) -> str:
    """The middle and the longest."""
    return f"{median(values):.0f} s, at most {max(values):.0f} s" if values else ""


def section(setting: str, rows: Sequence[Row]) -> str:
    """One setting's matrix."""
    return f"## {TITLES.get(setting, setting)}\n\n" + "\n".join(table(COLUMNS, map(cells, rows)))


def cells(row: Row) -> tuple[str, ...]:
    """Of one line of the matrix."""
    later = [name for name in row.names if name.rstrip("!") != row.first and name]
    return (
        f"`{row.fault}`",
        row.strength,
        f"`{row.first}` {row.certainty}" if row.first else "nothing",
        ", ".join(f"`{name.rstrip('!')}`" for name in dict.fromkeys(later)),
        seconds(row.named_seconds),
        seconds(row.withdrawn_seconds),
        row.outcome if row.outcome in {"right", "no trouble"} else f"**{row.outcome}**",
    )


def seconds(value: float | None) -> str:
    """Or nothing."""
    return "" if value is None else f"{value:.0f} s"


def table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown."""
    columns = list(columns)
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
