"""Writes the dashboards as Grafana reads them: `python -m dashboards.build [FOLDER [CLUSTER-LABEL]]`.

They are written beside this file by default, for a Prometheus whose label `cluster` tells clusters apart, or none does.
"""

import functools
import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from dashboards import slo, stages, streams, trust, why
from dashboards.panels import DATASOURCE, UNKNOWN, VIOLATED, Panel
from dashboards.query import EXPORTER, OF_CLUSTER

TAG: Final = "watchslo"
ALL: Final = model.VariableOption(text="All", value="$__all", selected=True)


class Plan(NamedTuple):
    """A dashboard before it is built. `uid` is its address in Grafana, for good, and names its file."""

    uid: str
    title: str
    question: str
    rows: Callable[[], dict[str, list[Panel]]]


PLANS: Final = (
    Plan("watchslo-slo", "Watch SLO", "Are watches late, and how much of the error budget is left?", slo.rows),
    Plan("watchslo-stages", "Where the time goes", "Which part of an event's way is slow, and where?", stages.rows),
    Plan("watchslo-streams", "Streams", "How often do watches end, why, and what is missed then?", streams.rows),
    Plan("watchslo-exporter", "The exporter", "Can the measurement be trusted, and what does it cost?", trust.rows),
)


def files(cluster_label: str = "cluster") -> dict[str, str]:
    """The text of each file, by its name. The chart names the label by the same replacements."""
    return {
        f"{plan.uid}.json": functools.reduce(
            lambda text, words: text.replace(words.format("cluster"), words.format(cluster_label)),
            ("{}=~", "({},", "(le, {}", "{{{{{}}}}}", ", {})"),
            json.dumps(_built(plan), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n",
        )
        for plan in PLANS
    }


def _built(plan: Plan) -> model.Dashboard:
    board = dashboard.Dashboard(plan.title).uid(plan.uid).description(plan.question).tags([TAG]).readonly()
    board.time("now-1h", "now").refresh("30s").tooltip(model.DashboardCursorSync.CROSSHAIR)
    board.variables(_variables()).annotation(_alerts()).annotation(_faults()).link(_links())
    number = count(1)
    for title, row in plan.rows().items():
        board.with_row(dashboard.Row(title).id(next(number)))
        for panel in row:
            board.with_panel(panel.id(next(number)))
    return board.build()


def _variables() -> list[Builder[model.VariableModel]]:
    watches = f"watchslo_stream_up{{{EXPORTER}}}"
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        # Where there is no such label, ".+" would match nothing.
        _choice("cluster", "Cluster", "label_values(watchslo_build_info, cluster)").all_value(".*"),
        _choice("job", "Job", 'label_values(watchslo_build_info{cluster=~"$cluster"}, job)'),
        _choice("instance", "Instance", f"label_values(watchslo_build_info{{{OF_CLUSTER}}}, instance)"),
        _choice("apiserver", "Apiserver", f"label_values({watches}, apiserver)"),
        # The core group is "", and ".+" would leave it out.
        _choice("group", "API group", f"label_values({watches}, group)").all_value(".*"),
        _choice("resource", "Resource", f"label_values({watches}, resource)"),
    ]


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE).current(ALL)
    variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(multi=True).include_all(include_all=True).all_value(".+")


def _alerts() -> dashboard.AnnotationQuery:
    annotation = dashboard.AnnotationQuery().name("Alerts").datasource(DATASOURCE).enable(enable=True)
    annotation.icon_color(VIOLATED).expr(slo.ALERTS).step("60s")
    return (
        annotation.title_format("{{alertname}}")
        .text_format("{{resource}} {{apiserver}} {{cluster}}")
        .tag_keys("severity")
    )


def _faults() -> dashboard.AnnotationQuery:
    annotation = dashboard.AnnotationQuery().name("Faults").datasource(DATASOURCE).enable(enable=True)
    annotation.icon_color(UNKNOWN).expr(why.FOUND).step("60s")
    return annotation.title_format("{{fault}} ({{certainty}})").text_format("{{resource}} {{apiserver}} {{cluster}}")


def _links() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(TAG).type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.keep_time(keep_time=True).include_vars(include_vars=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, text in files(*sys.argv[2:3]).items():
        (folder / name).write_text(text, encoding="utf-8")
