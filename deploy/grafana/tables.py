"""Tables: one instant query a column, joined row by row on the labels that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.panels import DATASOURCE, Panel, Query, target
from deploy.grafana.thresholds import Steps, config


@dataclass(frozen=True)
class Column:
    """A column of values.

    Attributes:
        name: its header.
        expr: a query whose labels are those of the table, or more: those are columns too.
        unit: of the values; None hides the values, where only the labels matter.
        steps: thresholds that colour the cells.
    """

    name: str
    expr: str
    unit: str | None = "none"
    steps: Steps | None = None


def rows(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    links: Mapping[str, dict[str, Any]] | None = None,
) -> Panel:
    """A table.

    Args:
        title: of the panel.
        description: what it shows, what is usual, what to do otherwise.
        labels: header of each label that is shown, in order.
        columns: the values.
        links: to another board, by the header of the cell that leads there.
    """
    panel = table.Panel().title(title).description(description).datasource(DATASOURCE).no_value("–")
    for ref, column in enumerate(columns):
        panel = panel.with_target(target(Query(column.expr, ""), ref, instant=True, form=PromQueryFormat.TABLE))
    values = {f"Value #{chr(ord('A') + ref)}" if len(columns) > 1 else "Value": c for ref, c in enumerate(columns)}
    hidden = {field: True for field, column in values.items() if column.unit is None}
    names = {**labels, **{field: column.name for field, column in values.items() if column.unit is not None}}
    organise = {
        "excludeByName": {"Time": True, **hidden},
        "indexByName": {field: place for place, field in enumerate(names)},
        "renameByName": names,
    }
    panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=organise))
    for column in columns:
        if column.unit is not None:
            panel = panel.override_by_name(column.name, _look(column))
    for header, destination in (links or {}).items():
        panel = panel.override_by_name(header, [DynamicConfigValue(id_val="links", value=[destination])])
    return panel.sort_by([common.TableSortByFieldState().display_name(next(iter(labels.values()))).desc(False)])


def _look(column: Column) -> list[DynamicConfigValue]:
    look = [DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.steps is not None:
        look += [
            DynamicConfigValue(id_val="thresholds", value=config(column.steps).build()),
            DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    return look
