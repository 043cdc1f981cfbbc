"""What the written boards ask: their panels and queries, with Grafana's variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Target:
    """One query of a panel, as it is written: with variables."""

    ref: str
    expr: str
    legend: str
    instant: bool


@dataclass(frozen=True)
class BoardPanel:
    """A panel of a written board: the JSON model, and what is most asked of it."""

    model: dict[str, Any]

    @property
    def title(self) -> str:
        """Its heading."""
        return str(self.model["title"])

    @property
    def kind(self) -> str:
        """`timeseries`, `stat`, `table` and so on."""
        return str(self.model["type"])

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Column, row, width and height on the grid of 24 columns."""
        grid = self.model["gridPos"]
        return grid["x"], grid["y"], grid["w"], grid["h"]

    @property
    def targets(self) -> list[Target]:
        """Its queries."""
        return [
            Target(t["refId"], t["expr"], t.get("legendFormat", ""), t.get("instant", False))
            for t in self.model.get("targets", [])
        ]

    @property
    def defaults(self) -> dict[str, Any]:
        """Unit, thresholds and the like of its fields."""
        found: dict[str, Any] = self.model.get("fieldConfig", {}).get("defaults", {})
        return found


def read_board(file: Path) -> list[BoardPanel]:
    """The panels of a board, headings of rows (`row`) included."""
    return [BoardPanel(panel) for panel in json.loads(file.read_text())["panels"]]


def other_queries(file: Path) -> Iterator[tuple[str, str]]:
    """Name and query of each annotation of a board, and of each variable that Prometheus answers."""
    board = json.loads(file.read_text())
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
            yield variable["name"], f"count by ({label}) ({selector})"


def fill(expr: str, values: Mapping[str, str]) -> str:
    """A query with every variable replaced. Raises `KeyError` for a variable that is not among `values`."""
    return VARIABLE.sub(lambda match: values[match[1]], expr)


def chosen(window_s: float, step_s: float, *, site: str = ".+", replica: str = ".+") -> dict[str, str]:
    """Values for every variable that the boards use.

    Args:
        window_s: of the time that is shown.
        step_s: between samples.
        site: regular expression of the chosen sites.
        replica: likewise of the replicas.
    """
    own = {"__rate_interval": f"{max(int(4 * step_s), 1)}s", "__range": f"{int(window_s)}s"}
    return {"site": site, "replica": replica, **own}
