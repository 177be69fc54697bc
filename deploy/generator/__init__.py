"""The objective in the formats of the field: Prometheus rules, Sloth, Pyrra, OpenSLO. `scripts/rules` writes them."""

from deploy.generator import formats
from deploy.generator.alerts import alert_groups
from deploy.generator.recordings import recording_groups, sloth_group
from deploy.generator.rules import Writer

HEADER = """\
The objective of watchslo as Prometheus rules: 99 % of the watch events arrive within a second of their commit.
Made by scripts/rules from deploy/generator; edit that. What the alerts mean: docs/alerts.md and docs/runbooks."""


def files(*, scale: int = 1) -> dict[str, str]:
    """Every generated file of deploy/, by its path in there. All durations of the rules are divided by `scale`."""
    groups = (*recording_groups(), *alert_groups(), sloth_group())
    return {
        "rules/watchslo.rules.yaml": Writer(scale).file(HEADER, groups),
        "slo/sloth.yaml": formats.sloth(),
        "slo/pyrra.yaml": formats.pyrra(),
        "slo/openslo.yaml": formats.openslo(),
    }
