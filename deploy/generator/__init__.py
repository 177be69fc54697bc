"""The objective in the formats of the field: Prometheus rules, Sloth, Pyrra, OpenSLO. `scripts/rules` writes them."""

from deploy.generator import formats, inhibition
from deploy.generator.alerts import alert_groups
from deploy.generator.objective import DEFAULTS, Settings
from deploy.generator.recordings import recording_groups, sloth_group
from deploy.generator.rules import Writer

HEADER = """\
The objectives of watchslo as Prometheus rules: what is late says --slo.threshold of the exporter, how much of it may be
says --slo.objective. They work with scrapes every 10 to 60 s. Made by scripts/rules from deploy/generator; edit that.
What the alerts mean: docs/alerts.md and docs/runbooks."""
SLOTH_HEADER = """\
The same shares under Sloth's names, so that its stock dashboards show them. For those who use these: load it beside
watchslo.rules.yaml, unless Sloth itself makes them from deploy/slo/sloth.yaml. Made by scripts/rules."""


def files(settings: Settings = DEFAULTS, *, scale: int = 1) -> dict[str, str]:
    """Every generated file of deploy/, by its path in there. All durations of the rules are divided by `scale`."""
    writer = Writer(settings, scale)
    return {
        "rules/watchslo.rules.yaml": writer.file(HEADER, (*recording_groups(), *alert_groups(settings))),
        "rules/watchslo-sloth.rules.yaml": writer.file(SLOTH_HEADER, (sloth_group(settings.objective),)),
        "alertmanager/inhibit_rules.yaml": inhibition.inhibit_rules(settings.cluster_label),
        "slo/sloth.yaml": formats.sloth(settings),
        "slo/pyrra.yaml": formats.pyrra(settings),
        "slo/openslo.yaml": formats.openslo(settings),
    }
