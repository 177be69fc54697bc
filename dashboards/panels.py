"""The kinds of panels that the dashboards are made of, with one look for all of them."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = looks.DataSourceRef(type_val="prometheus", uid="${datasource}")

# One meaning, one colour, on every panel.
MET: Final = "green"
VIOLATED: Final = "red"
UNKNOWN: Final = "orange"
QUIET: Final = "#8e8e99"
BOUND: Final = "blue"

# Room for two scrapes, without which nothing grows.
BAR_INTERVAL: Final = "30s"

# Of 24 across.
SMALL: Final = 4
QUARTER: Final = 6
THIRD: Final = 8
HALF: Final = 12
WHOLE: Final = 24

Panel = timeseries.Panel | stat.Panel | heatmap.Panel | statetimeline.Panel
AnyPanel = TypeVar("AnyPanel", timeseries.Panel, stat.Panel, heatmap.Panel, statetimeline.Panel)


class Query(NamedTuple):
    """An expression, and what to call each of its series."""

    expression: str
    legend: str = ""


def number(title: str, unit: str, expression: str, colours: Mapping[float, str]) -> stat.Panel:
    """One number as of now on a background: green, or the colour of the highest step that it has reached."""
    panel = _now(title, unit, Query(expression, title))
    return panel.thresholds(_steps(MET, colours)).color_mode(looks.BigValueColorMode.BACKGROUND)


def tiles(title: str, unit: str, query: Query) -> stat.Panel:
    """A tile for each series as of now, with its name."""
    panel = _now(title, unit, query).span(WHOLE).thresholds(_steps(BOUND, {}))
    return panel.color_mode(looks.BigValueColorMode.BACKGROUND).text_mode(looks.BigValueTextMode.VALUE_AND_NAME)


def for_each_cluster(panel: stat.Panel) -> stat.Panel:
    """The panel once for each cluster that is chosen, two beside each other; once where clusters have no label."""
    return panel.repeat("cluster").repeat_direction("h").max_per_row(2)


def lines(title: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Values over time."""
    panel = timeseries.Panel().title(title).datasource(DATASOURCE).span(HALF).height(8).unit(unit)
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(_target(query, letter).range())
    panel.axis_soft_min(0).line_width(1).fill_opacity(0).show_points(looks.VisibilityMode.AUTO)
    return panel.legend(_legend()).tooltip(_all_values())


def amounts(title: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Parts of a whole over time, one on top of the other."""
    panel = lines(title, unit, *queries).fill_opacity(60)
    return panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))


def bars(title: str, *queries: Query) -> timeseries.Panel:
    """How often things happened; the queries count over $__interval, so that each bar stands for a time of its own."""
    return amounts(title, "short", *queries).draw_style(looks.GraphDrawStyle.BARS).interval(BAR_INTERVAL)


def band(title: str, unit: str, *, at_most: str, at_least: str) -> timeseries.Panel:
    """Two certain bounds with the space between them filled: the truth lies there."""
    filled = [_property("custom.fillBelowTo", "at least"), _property("custom.fillOpacity", 35)]
    panel = lines(title, unit, Query(at_most, "at most"), Query(at_least, "at least"))
    return panel.override_by_name("at most", [_fixed(BOUND), *filled]).override_by_name("at least", [_fixed(BOUND)])


def heat_map(title: str, expression: str) -> heatmap.Panel:
    """How many observations fell into each bucket of a histogram, over time."""
    panel = heatmap.Panel().title(title).datasource(DATASOURCE).span(THIRD).height(8)
    panel.with_target(_target(Query(expression, "{{le}}"), "A").range().format(PromQueryFormat.HEATMAP))
    panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32))
    panel.y_axis(heatmap.YAxisConfig().unit("s").axis_placement(looks.AxisPlacement.LEFT)).cell_gap(1)
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9))  # an empty cell is no cell


def history(title: str, query: Query) -> statetimeline.Panel:
    """A row for each series, coloured by its value over time."""
    panel = statetimeline.Panel().title(title).datasource(DATASOURCE).span(WHOLE).height(6)
    panel.with_target(_target(query, "A").range()).show_value(looks.VisibilityMode.NEVER)
    return panel.row_height(0.8).fill_opacity(80).line_width(0).legend(_legend()).tooltip(_all_values())


def logarithmic(panel: timeseries.Panel, least: float, most: float) -> timeseries.Panel:
    """The axis shows decades, between fixed ends."""
    scale = common.ScaleDistributionConfig().type(looks.ScaleDistribution.LOG).log(10)
    return panel.scale_distribution(scale).min(least).max(most)


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Series whose names begin with these words have these colours."""
    for name, colour in colours.items():
        panel.override_by_regexp(f"/^{name}\\b/", [_fixed(colour)])
    return panel


def limited(panel: timeseries.Panel, limit: Query) -> timeseries.Panel:
    """Adds a limit that is itself a metric, as a dashed red line."""
    dashes = _property("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})
    panel.with_target(_target(limit, "Z").range())
    return panel.override_by_name(limit.legend, [_fixed(VIOLATED), dashes, _property("custom.lineWidth", 2)])


def marked(panel: timeseries.Panel, colours: Mapping[float, str]) -> timeseries.Panel:
    """Adds a dashed line at each of these values, in its colour."""
    panel.thresholds(_steps("transparent", colours))
    return panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED))


def worded(panel: AnyPanel, words: Mapping[int, tuple[str, str]]) -> AnyPanel:
    """Shows numbers as words in colours."""
    options = {
        str(value): model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    panel.mappings([model.ValueMap(options=options)])
    return panel


def _now(title: str, unit: str, query: Query) -> stat.Panel:
    panel = stat.Panel().title(title).datasource(DATASOURCE).span(SMALL).height(5).unit(unit).no_value("no data")
    panel.with_target(_target(query, "A").instant()).graph_mode(looks.BigValueGraphMode.NONE)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(query.expression).ref_id(letter)
    return target.legend_format(query.legend)


def _steps(first: str, colours: Mapping[float, str]) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=first)]
    steps += [model.Threshold(value=value, color=colour) for value, colour in colours.items()]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _fixed(colour: str) -> model.DynamicConfigValue:
    return _property("color", {"mode": "fixed", "fixedColor": colour})


def _property(name: str, value: Any) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    return legend.placement(looks.LegendPlacement.BOTTOM).display_mode(looks.LegendDisplayMode.LIST)


def _all_values() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
