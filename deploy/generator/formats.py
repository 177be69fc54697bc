"""The same objective for Sloth, Pyrra and OpenSLO, as text with comments."""

from dataclasses import dataclass

from deploy.generator.objective import PERIOD, Settings

MADE_BY = "Made by scripts/rules from deploy/generator; edit that."


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A part of the events that has an objective of its own; `matchers` is what selects it in PromQL."""

    slo: str
    of: str
    matchers: str

    def series(self, verdict: str = "") -> str:
        """The counter's series of this slice, of one verdict or of all."""
        wanted = ", ".join(part for part in (f'verdict="{verdict}"' if verdict else "", self.matchers) if part)
        return f"watchslo_events_judged_total{{{wanted}}}" if wanted else "watchslo_events_judged_total"


SLICES = (
    Slice(slo="watch-latency", of="everything that is watched", matchers=""),
    Slice(slo="watch-latency-pods", of="pods", matchers='group="", resource="pods"'),
    Slice(slo="watch-latency-nodes", of="nodes", matchers='group="", resource="nodes"'),
    # The few groups of Kubernetes itself that have a dot as well count here too, if somebody watches them.
    Slice(slo="watch-latency-custom-resources", of="custom resources", matchers='group=~".+[.].+"'),
)


def sloth(settings: Settings) -> str:
    """A spec for `sloth generate`."""
    head = f"""\
# The objective for Sloth: sloth generate -i sloth.yaml
# {MADE_BY}
#
# The series are those of rules/watchslo-sloth.rules.yaml: load one of the two, not both.
version: prometheus/v1
service: watchslo
slos:"""
    return "\n".join([head, *(_sloth_slo(each, settings) for each in SLICES)]) + "\n"


def _sloth_slo(each: Slice, settings: Settings) -> str:
    return f"""
  - name: {each.slo}
    objective: {settings.objective * 100:g}
    description: Watch events of {each.of} arrive within the threshold.
    sli:
      events:
        error_query: sum(rate({each.series("late")}[{{{{.window}}}}]))
        total_query: sum(rate({each.series()}[{{{{.window}}}}]))
    alerting:
      name: WatchLatencyBudgetBurn
      annotations:
        runbook_url: {settings.runbooks}/WatchLatencyBudgetBurn.md
      page_alert:
        labels: {{severity: critical}}
      ticket_alert:
        labels: {{severity: warning}}"""


def pyrra(settings: Settings) -> str:
    """Pyrra's custom resources."""
    head = f"""\
# The objective for Pyrra: kubectl apply -f pyrra.yaml
# {MADE_BY}
#
# Pyrra chooses windows and factors itself; they are near those of rules/watchslo.rules.yaml."""
    whole = _pyrra_slo(
        "watch-latency",
        "Of everything that is watched; with --generic-rules Pyrra's own Grafana dashboards show it.",
        "",
        settings.objective,
    )
    by_resource = _pyrra_slo(
        "watch-latency-by-resource",
        "Of each resource of each cluster by itself.",
        f"\n      grouping:\n        - {settings.cluster_label}\n        - group\n        - resource",
        settings.objective,
    )
    return f"{head}\n{whole}\n{by_resource}\n"


def _pyrra_slo(name: str, comment: str, grouping: str, objective: float) -> str:
    return f"""\
---
# {comment}
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: {name}
  namespace: monitoring
  labels:
    prometheus: k8s
    role: alert-rules
spec:
  target: "{objective * 100:g}"
  window: {PERIOD}
  description: Watch events arrive within the threshold.
  alerting:
    name: WatchLatencyBudgetBurn
  indicator:
    ratio:
      errors:
        metric: {SLICES[0].series("late")}
      total:
        metric: {SLICES[0].series()}{grouping}"""


def openslo(settings: Settings) -> str:
    """OpenSLO's resources: a data source, a service, and one SLO for each slice."""
    head = f"""\
# The objective for OpenSLO.
# {MADE_BY}
#
# Time slices of one minute are the objective in its own words: a minute is good if at most 1 % of its events are late.
---
apiVersion: openslo/v1
kind: DataSource
metadata:
  name: prometheus
spec:
  type: Prometheus
  connectionDetails:
    url: http://prometheus:9090
---
apiVersion: openslo/v1
kind: Service
metadata:
  name: watchslo
  displayName: Kubernetes watches
spec:
  description: The events that kube-apiservers send to those who watch."""
    return "\n".join([head, *(_openslo_slo(each, settings.objective) for each in SLICES)]) + "\n"


def _openslo_slo(each: Slice, objective: float) -> str:
    return f"""\
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {each.slo}
  displayName: Watch latency of {each.of}
spec:
  description: P99 of the time from commit to arrival, over a minute, is within the threshold.
  service: watchslo
  indicator:
    metadata:
      name: {each.slo}-events
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource:
            metricSourceRef: prometheus
            type: Prometheus
            spec:
              query: sum({each.series("late")})
        total:
          metricSource:
            metricSourceRef: prometheus
            type: Prometheus
            spec:
              query: sum({each.series()})
  timeWindow:
    - duration: {PERIOD}
      isRolling: true
  budgetingMethod: Timeslices
  objectives:
    - displayName: Good minutes
      target: {objective}
      timeSliceTarget: {objective}
      timeSliceWindow: 1m"""
