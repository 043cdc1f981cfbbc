"""A board: its variables, its links to the others, what is marked on all its panels, and its rows of panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from deploy.grafana.panels import DATASOURCE, Panel

SERVICE, SENSING, FLEET = "cellsense-service", "cellsense-sensing", "cellsense-fleet"
TAG = "cellsense"
WIDTH = 24  # of Grafana's grid
FIRING = 'ALERTS{alertname=~"Cellsense.+",alertstate="firing"}'
CHANGED_FOR = "2m"  # how long a new build or artifact is marked


@dataclass(frozen=True)
class Row:
    """Panels side by side under a heading, as wide as each other; further `panels` go into further lines."""

    title: str
    lines: Sequence[Sequence[Panel]]
    height: int = 8


def board(
    uid: str, title: str, description: str, variables: Sequence[Builder[dashboard.VariableModel]], rows: Sequence[Row]
) -> dashboard.Dashboard:
    """Put a board together."""
    made = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(_others())
    )
    for variable in (_datasource(), *variables):
        made = made.with_variable(variable)
    for annotation in (_alerts(), _changes()):
        made = made.annotation(annotation)
    for row in rows:
        made = made.with_row(build.Row(row.title))
        for line in row.lines:
            for panel in line:
                made = made.with_panel(panel.span(WIDTH // len(line)).height(row.height))
    whole = made.build()
    for number, placed in enumerate(whole.panels or [], 1):
        placed.id_val = number  # a link to a panel goes by it
    return whole


def variable(name: str, label: str, description: str, query: str) -> build.QueryVariable:
    """A variable of which several values, or all, can be chosen."""
    return (
        build.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(text="All", value="$__all"))
    )


def ready_share(where: str) -> str:
    """The share of the replicas whose processes are all warm; those that are down are none of them."""
    ready = f"sum(cellsense_ready{{{where}}} >= bool cellsense_workers{{{where}}})"
    return f'({ready} or vector(0)) / count(up{{job="cellsense",{where}}})'


def replica() -> build.QueryVariable:
    """The replicas that Prometheus scrapes."""
    query = 'label_values(up{job="cellsense"}, instance)'
    return variable("replica", "Replica", "One address that Prometheus scrapes: a container, or a pod.", query)


def site() -> build.QueryVariable:
    """The sites that some artifact serves."""
    return variable(
        "site", "Site", "A base station that some artifact serves.", "label_values(cellsense_artifact_info, site)"
    )


def _datasource() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Source").type("prometheus")


def _others() -> build.DashboardLink:
    """Links to the boards of the same tag; time and variables go along."""
    return (
        build.DashboardLink("cellsense")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
        .include_vars(True)
    )


class _Marked(dashboard.AnnotationQuery):
    """An annotation by a Prometheus query; the SDK knows its expression, but not what it is called."""

    def __init__(self, name: str, color: str, expr: str, title: str, text: str) -> None:
        super().__init__(name=name, datasource=DATASOURCE, icon_color=color, expr=expr)
        self._called = {"titleFormat": title, "textFormat": text}

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self._called


class _Annotation(Builder[dashboard.AnnotationQuery]):
    def __init__(self, marked: _Marked) -> None:
        self._marked = marked

    def build(self) -> dashboard.AnnotationQuery:
        return self._marked


def _alerts() -> _Annotation:
    text = "{{severity}} {{instance}} {{site}} {{task}} {{modality}}"
    return _Annotation(_Marked("Alerts", "red", FIRING, "{{alertname}}", text))


def _changes() -> _Annotation:
    """New builds and new artifacts: what changed."""
    artifact, build = "site, artifact, version, provider", "version, commit, onnxruntime"
    expr = f"{_new('cellsense_artifact_info', artifact)} or {_new('cellsense_build_info', build)}"
    text = "{{site}} {{artifact}} {{version}} {{provider}} {{commit}} {{onnxruntime}}"
    return _Annotation(_Marked("Changes", "blue", expr, "New", text))


def _new(info: str, by: str) -> str:
    return f"(count by ({by}) ({info}) unless count by ({by}) ({info} offset {CHANGED_FOR}))"
