"""Every dashboard keeps the linter's rules, and every rule sees its breach."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dashboards import lint
from tests.dashboards.grafana import FILES, Board, board, panels, variables


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.__name__)
def test_a_dashboard_keeps_the_rule(rule: Callable[[Board], lint.Complaints], file: Path) -> None:
    assert not list(rule(board(file)))


def first_query_becomes(expression: str) -> Callable[[Board], object]:
    return lambda broken: next(panels(broken))["targets"][0].update(expr=expression)


CHOSEN = 'job=~"$job", instance=~"$instance"'
BREACHES: dict[Callable[[Board], lint.Complaints], list[Callable[[Board], object]]] = {
    lint.datasource_variable: [lambda broken: variables(broken)["datasource"].update(name="prometheus")],
    lint.job_and_instance_variables: [
        lambda broken: variables(broken)["job"].update(allValue=".*"),
        lambda broken: variables(broken)["instance"].update(multi=False),
    ],
    lint.variables_ask_prometheus: [
        lambda broken: variables(broken)["job"].update(query="label_values(up{, job)"),
        lambda broken: variables(broken)["job"].update(query="jobs()"),
    ],
    lint.variables_follow_the_time_range: [lambda broken: variables(broken)["resource"].update(refresh=1)],
    lint.panels_use_the_datasource: [
        lambda broken: next(panels(broken)).pop("datasource"),
        lambda broken: next(panels(broken))["targets"][0].update(datasource={"uid": "prometheus-1"}),
    ],
    lint.panels_explain_themselves: [lambda broken: next(panels(broken)).update(description="")],
    lint.panels_have_units: [lambda broken: list(panels(broken))[1]["fieldConfig"]["defaults"].update(unit="secs")],
    lint.panels_ask: [lambda broken: next(panels(broken)).pop("targets")],
    lint.queries_parse: [first_query_becomes("sum("), first_query_becomes("up{job=$unknown}")],
    lint.rates_use_the_rate_interval: [first_query_becomes(f"sum(rate(a_total{{{CHOSEN}}}[5m]))")],
    lint.selectors_name_job_and_instance: [
        first_query_becomes("max(watchslo_stream_up)"),
        first_query_becomes('watchslo_stream_up{job="$job", instance=~"$instance"}'),
    ],
    lint.selectors_name_the_cluster: [first_query_becomes(f"max(watchslo_stream_up{{{CHOSEN}}})")],
    lint.clusters_are_kept_apart: [first_query_becomes(f"max by (apiserver) (watchslo_stream_up{{{CHOSEN}}})")],
    lint.counters_are_rated: [first_query_becomes(f"sum(watchslo_relists_total{{{CHOSEN}}})")],
    lint.nobody_edits: [lambda broken: broken.update(editable=True)],
}


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_sees_its_breach(rule: Callable[[Board], lint.Complaints]) -> None:
    for breach in BREACHES[rule]:
        broken = copy.deepcopy(board(FILES[0]))
        breach(broken)
        assert list(rule(broken)), breach
