"""The kinds of panel that the boards are made of, each in the house's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard, units
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, FieldColorModeId
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from deploy.grafana.thresholds import PLAIN_STEPS, Steps, config

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
FRAMES_PER_SECOND = "suffix: frames/s"
LABELS_PER_SECOND = "suffix: labels/s"
METERS = "suffix: m"
SHARE = units.PercentUnit
CORES = "suffix: cores"


Panel = timeseries.Panel | stat.Panel | bargauge.Panel | heatmap.Panel | statetimeline.Panel | table.Panel


@dataclass(frozen=True)
class Query:
    """What to ask, and what to call the answer: `{{label}}` stands for a label's value."""

    expr: str
    legend: str


def target(
    query: Query, ref: int, *, instant: bool = False, form: PromQueryFormat | None = None
) -> prometheus.Dataquery:
    """A query of a panel, the `ref`-th."""
    made = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + ref))
    made = made.datasource(DATASOURCE).editor_mode(QueryEditorMode.CODE)
    made = made.instant() if instant else made.range()
    return made if form is None else made.format(form)


def tile(
    title: str, description: str, unit: str, *queries: Query, steps: Steps = PLAIN_STEPS, none: str = "–"
) -> Panel:
    """A figure to see from across the room, with its recent course behind; the thresholds colour the first query's."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .no_value(none)
        .thresholds(config(steps))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.AREA)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for ref, query in enumerate(queries):
        panel = panel.with_target(target(query, ref))
        if ref > 0:
            thresholds = DynamicConfigValue(id_val="thresholds", value=config(PLAIN_STEPS).build())
            panel = panel.override_by_name(query.legend, [thresholds])
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps | None = None,
    stacked: options.StackingMode = options.StackingMode.NONE,
    bottom: float = 0,
    top: float | None = None,
    logarithmic: bool = False,
    colors: Mapping[str, str] | None = None,
    none: str = "No data",
) -> timeseries.Panel:
    """Series over time.

    Args:
        title: of the panel.
        description: what it shows, what is usual, what to do otherwise.
        unit: of the values.
        queries: one or several series each.
        steps: thresholds, drawn as dashed lines.
        stacked: areas upon each other, where the series add up to something.
        bottom: of the axis, unless a value is below it.
        top: of the axis.
        logarithmic: for what spans decades.
        colors: by a regular expression of the series' name.
        none: what to say where there is nothing.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(none)
        .line_width(1)
        .fill_opacity(8 if stacked is options.StackingMode.NONE else 45)
        .show_points(options.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(stacked))
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if logarithmic:
        scale = common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale)
    else:
        panel = panel.axis_soft_min(bottom)
    if top is not None:
        panel = panel.max(top)
    if steps is not None:
        style = common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(config(steps)).thresholds_style(style)
    for pattern, color in (colors or {}).items():
        panel = panel.override_by_regexp(pattern, [_fixed(color)])
    for ref, query in enumerate(queries):
        panel = panel.with_target(target(query, ref))
    return panel


def bars(title: str, description: str, unit: str, query: Query, steps: Steps = PLAIN_STEPS) -> Panel:
    """One bar a series, of its last value."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .no_value("No data")
        .thresholds(config(steps))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(target(query, 0))
    )


def density(title: str, description: str, unit: str, histogram: str, where: str, none: str = "No data") -> Panel:
    """A histogram over time: the darker a cell, the more fell into the bucket."""
    query = Query(f"sum by (le) (rate({histogram}_bucket{{{where}}}[$__rate_interval]))", "{{le}}")
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .no_value(none)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit("suffix:/s"))
        .with_target(target(query, 0, form=PromQueryFormat.HEATMAP))
    )


def states(title: str, description: str, query: Query, names: Sequence[tuple[str, str]]) -> Panel:
    """One band a series, coloured by what its value means; `names` are text and colour of 0, 1, 2 and so on."""
    results = {
        str(value): dashboard.ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in enumerate(names)
    }
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .no_value("No replica")
        .mappings([dashboard.ValueMap(options=results)])
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(config([(None, "text")]))
        .show_value(options.VisibilityMode.AUTO)
        .row_height(0.8)
        .legend(_legend())
        .with_target(target(query, 0))
    )


def link(title: str, board: str, variable: str) -> dict[str, Any]:
    """A link from a cell or a series to another board, with a variable set to the cell's value."""
    return {"title": title, "url": f"/d/{board}?var-{variable}=${{__value.raw}}&${{__url_time_range}}"}


def _legend() -> common.VizLegendOptions:
    bottom = common.VizLegendOptions().show_legend(True).placement(options.LegendPlacement.BOTTOM)
    return bottom.display_mode(options.LegendDisplayMode.LIST)


def _fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})
