"""The objectives, and the tables that their alerts follow. Rules, inhibitions and formats are made from it."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

Severity = Literal["critical", "warning"]
"""critical wakes somebody up; warning becomes a ticket."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What differs from one user to another. The chart has the same as values of `prometheusRule`."""

    cluster_label: str = "cluster"
    """The label that tells clusters apart. Where it is absent, all series are of one cluster."""
    objective: float = 0.99
    """For the formats of deploy/slo: the rules take the exporter's own (`--slo.objective`) from its metrics."""
    coverage: float = 0.99
    """The share of time in which a resource has to be watched, on any apiserver."""
    memory_mebibytes: int = 400
    runbooks: str = f"https://github.com/watchslo/watchslo/blob/v{version('watchslo')}/docs/runbooks"
    """Of this version: a page of a branch would speak of other alerts one day."""


DEFAULTS = Settings()

PERIOD = "30d"
"""What a budget lasts for."""

FEWEST_EVENTS = 50
"""A share of fewer events says little: the exporter itself calls a minute with fewer of them `quiet`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Burn:
    """Both windows have burned the budget `factor` times faster than it may be burned."""

    factor: str
    long: str
    short: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BurnRates:
    """Alert if, for `hold`, one of the pairs of windows has burned the budget too fast."""

    severity: Severity
    hold: str
    lasts: str
    burns: tuple[Burn, Burn]


BURN_RATES = (
    BurnRates(
        severity="critical",
        hold="2m",
        lasts="5 days",
        burns=(Burn(factor="14.4", long="1h", short="5m"), Burn(factor="6", long="6h", short="30m")),
    ),
    BurnRates(
        severity="warning",
        hold="1h",
        lasts="30 days",
        burns=(Burn(factor="3", long="1d", short="2h"), Burn(factor="1", long="3d", short="6h")),
    ),
)

RATE_WINDOW = "5m"
"""All counters are rated over this. Five scrapes a minute apart are in it, and it is Kubernetes' own SLI's window."""

LONG_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
"""Made of the samples of RATE_WINDOW's series, one for each evaluation."""

EVALUATION = "1m"
"""How often these are evaluated: it makes a number of events of the sum of rates."""
