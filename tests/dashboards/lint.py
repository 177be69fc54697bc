"""The rules of grafana/dashboard-linter, written again: the tool itself needs a build of its own.

Each rule takes a dashboard and says what is wrong with it.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import promql_parser

from tests.dashboards.grafana import Board, panels, variables, with_all_chosen

# Of the units that the linter knows, those in use here.
UNITS = {"none", "short", "percentunit", "s", "bytes", "Bps", "cps", "reqps"}
DATASOURCE = "${datasource}"
RATE_INTERVAL = timedelta(seconds=4321)
OWN_SECONDS = {"__rate_interval": 4321, "__interval": 1234, "__range": 9876}

# Selectors that need not name the exporter's job and instance.
OF_ANOTHER_JOB = {
    "apiserver_watch_events_dispatch_duration_seconds_bucket": "the apiservers are scraped by a job of their own",
}

Complaints = Iterator[str]


def datasource_variable(board: Board) -> Complaints:
    found = [variable for variable in variables(board).values() if variable["type"] == "datasource"]
    if [(variable["name"], variable["label"]) for variable in found] != [("datasource", "Data source")]:
        yield "there is not just one data source variable with the usual name and label"


def job_and_instance_variables(board: Board) -> Complaints:
    for name in ("job", "instance"):
        variable = variables(board).get(name, {})
        expected = {"type": "query", "label": name.capitalize(), "multi": True, "allValue": ".+"}
        if not expected.items() <= variable.items() or variable["datasource"]["uid"] != DATASOURCE:
            yield f"the variable {name} is not as the others of its name are"


def variables_ask_prometheus(board: Board) -> Complaints:
    for name, variable in _asked(board):
        query = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"])
        if query is None or not _parses(query[1], board):
            yield f"the variable {name} has a query that Prometheus would refuse"


def variables_follow_the_time_range(board: Board) -> Complaints:
    for name, variable in _asked(board):
        if variable["refresh"] != 2:
            yield f"the variable {name} is not asked again when the time range changes"


def panels_use_the_datasource(board: Board) -> Complaints:
    for panel in panels(board):
        for asked in (panel, *panel.get("targets", [])):
            if asked.get("datasource", {}).get("uid") != DATASOURCE:
                yield f"{panel['title']}: its data source is fixed"


def panels_explain_themselves(board: Board) -> Complaints:
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel['id']} has no title or no description"


def panels_have_units(board: Board) -> Complaints:
    for panel in panels(board):
        settings = panel.get("fieldConfig", {}).get("defaults", {})
        unit = panel["options"]["yAxis"].get("unit") if panel["type"] == "heatmap" else settings.get("unit")
        if unit not in UNITS and not settings.get("mappings"):
            yield f"{panel['title']}: it has no unit, or an unknown one"


def panels_ask(board: Board) -> Complaints:
    for panel in panels(board):
        if not panel.get("targets"):
            yield f"{panel['title']}: it asks nothing"


def queries_parse(board: Board) -> Complaints:
    for panel, expression in _expressions(board):
        if not _parses(expression, board):
            yield f"{panel}: Prometheus would refuse {expression}"


def rates_use_the_rate_interval(board: Board) -> Complaints:
    for panel, node, parents in _nodes(board):
        in_rate = parents and isinstance(parents[-1], promql_parser.Call) and parents[-1].func.name in ("rate", "irate")
        if isinstance(node, promql_parser.MatrixSelector) and in_rate and node.range != RATE_INTERVAL:
            yield f"{panel}: a rate over a fixed time"


def selectors_name_job_and_instance(board: Board) -> Complaints:
    chosen = {("job", ".+"), ("instance", ".+")}
    for panel, node, _ in _nodes(board):
        if isinstance(node, promql_parser.VectorSelector) and node.name not in OF_ANOTHER_JOB:
            regular = {(m.name, m.value) for m in node.matchers.matchers if m.op == promql_parser.MatchOp.Re}
            # Alerts and what the rules recorded have no instance: it is summed away.
            wanted = chosen - {("instance", ".+")} if node.name == "ALERTS" or ":" in (node.name or "") else chosen
            if not wanted <= regular:
                yield f"{panel}: {node.name} of any job or instance"


def selectors_name_the_cluster(board: Board) -> Complaints:
    for panel, node, _ in _nodes(board):
        if isinstance(node, promql_parser.VectorSelector):
            regular = {(m.name, m.value) for m in node.matchers.matchers if m.op == promql_parser.MatchOp.Re}
            if ("cluster", ".*") not in regular:
                yield f"{panel}: {node.name} of any cluster"


def clusters_are_kept_apart(board: Board) -> Complaints:
    """A sum that is drawn as it is, and of more than numbers, is by cluster; the worst of all may be by nothing."""
    for panel in panels(board):
        for target in panel["targets"]:
            for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"]):
                if "cluster" not in labels.split(", ") and panel["type"] != "heatmap":
                    yield f"{panel['title']}: the clusters of {target['expr']} are one"


def counters_are_rated(board: Board) -> Complaints:
    for panel, node, parents in _nodes(board):
        if isinstance(node, promql_parser.VectorSelector) and (node.name or "").endswith("_total"):
            call = parents[-2] if len(parents) > 1 else None
            if not isinstance(call, promql_parser.Call) or call.func.name not in ("rate", "irate", "increase"):
                yield f"{panel}: {node.name} is shown as it is"


def nobody_edits(board: Board) -> Complaints:
    if board["editable"]:
        yield "it can be edited, and the next start of Grafana would undo that"


RULES: list[Callable[[Board], Complaints]] = [
    datasource_variable,
    job_and_instance_variables,
    variables_ask_prometheus,
    variables_follow_the_time_range,
    panels_use_the_datasource,
    panels_explain_themselves,
    panels_have_units,
    panels_ask,
    queries_parse,
    rates_use_the_rate_interval,
    selectors_name_job_and_instance,
    selectors_name_the_cluster,
    clusters_are_kept_apart,
    counters_are_rated,
    nobody_edits,
]


def _asked(board: Board) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, variable) for name, variable in variables(board).items() if variable["type"] == "query")


def _expressions(board: Board) -> Iterator[tuple[str, str]]:
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def _parsed(expression: str, board: Board) -> promql_parser.Expr:
    return promql_parser.parse(with_all_chosen(expression, board, OWN_SECONDS))


def _parses(expression: str, board: Board) -> bool:
    try:
        _parsed(expression, board)
    except (ValueError, KeyError):
        return False
    return True


def _nodes(board: Board) -> Iterator[tuple[str, Any, list[Any]]]:
    """Every node of every expression that parses, with the panel's title and the nodes above it."""
    for title, expression in _expressions(board):
        if _parses(expression, board):
            for node, parents in _below(_parsed(expression, board), []):
                yield title, node, parents


def _below(node: Any, parents: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    yield node, parents
    children = [getattr(node, part, None) for part in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for child in (*children, *getattr(node, "args", ())):
        if child is not None:
            yield from _below(child, [*parents, node])
