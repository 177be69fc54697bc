"""The objective, and the table that its alerts follow. Everything in deploy/rules and deploy/slo is made from it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]
"""critical wakes somebody up; warning becomes a ticket."""

OBJECTIVE = 0.99
"""The share of events that has to be on time. `--slo.threshold` of the exporter says what is on time."""

BUDGET = "0.01"
"""1 - OBJECTIVE as rules write it."""

PERIOD = "30d"
"""What a budget lasts for."""

FEWEST_EVENTS = 50
"""A share of fewer events says little: the exporter itself calls a minute with fewer of them `quiet`."""

RUNBOOKS = "https://github.com/watchslo/watchslo/blob/main/docs/runbooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class BurnRate:
    """Alert if, for `hold`, both windows have burned the budget `factor` times faster than it may be burned."""

    factor: str
    long: str
    short: str
    hold: str
    severity: Severity
    lasts: str


BURN_RATES = (
    BurnRate(factor="14.4", long="1h", short="5m", hold="2m", severity="critical", lasts="2 days"),
    BurnRate(factor="6", long="6h", short="30m", hold="15m", severity="critical", lasts="5 days"),
    BurnRate(factor="3", long="1d", short="2h", hold="1h", severity="warning", lasts="10 days"),
    BurnRate(factor="1", long="3d", short="6h", hold="3h", severity="warning", lasts="30 days"),
)

OBJECTIVE_WINDOWS = ("1m", "5m")
"""The rolling minute of the objective, and the five minutes of Kubernetes' own watch latency SLI."""

RATE_WINDOWS = ("1m", "5m", "30m", "1h", "2h", "6h", "1d", "3d")
