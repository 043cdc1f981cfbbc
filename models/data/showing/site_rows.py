"""A picture with a row of panels for every site: where the rows are, and what is said above each."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.data.showing.look import GREY, INK, LEFT_IN, SMALL, WIDTH_IN, place
from models.data.showing.plan import Plan

COLUMNS = 3
_PANEL_IN, _STEP_IN, _TOP_IN, _HEAD_IN, _GAP_IN = 4.75, 4.9, 2.0, 0.42, 0.2


@dataclass(frozen=True)
class SiteRows:
    """Rows of `COLUMNS` panels in the shape of a map, one row a site, all maps to one scale."""

    plans: tuple[Plan, ...]

    @property
    def panel_in(self) -> tuple[float, float]:
        """Width and height of a panel; the widest and the highest map fit."""
        return _PANEL_IN, _PANEL_IN * max(plan.aspect for plan in self.plans)

    @property
    def bottom_in(self) -> float:
        """Where the last row ends, from the top of the figure."""
        return _TOP_IN + len(self.plans) * (_HEAD_IN + self.panel_in[1] + _GAP_IN)

    def head(self, figure: Figure, row: int, text: str) -> None:
        """Name of the row's site, and a text in grey behind it."""
        whole, top = figure.get_figheight(), _TOP_IN + row * (_HEAD_IN + self.panel_in[1] + _GAP_IN) + _HEAD_IN - 0.14
        style = {"ha": "left", "va": "baseline"}
        name = self.plans[row].site.name
        figure.text(LEFT_IN / WIDTH_IN, 1 - top / whole, name, fontsize=13, weight="bold", color=INK, **style)
        beside_in = LEFT_IN + 0.25 + 0.12 * len(name)
        figure.text(beside_in / WIDTH_IN, 1 - top / whole, text, fontsize=SMALL, color=GREY, **style)

    def captions(self, figure: Figure, *texts: str) -> None:
        """What the columns show, above the first row."""
        for column, text in enumerate(texts):
            left, top = (LEFT_IN + column * _STEP_IN) / WIDTH_IN, 1 - (_TOP_IN - 0.12) / figure.get_figheight()
            figure.text(left, top, text, fontsize=10.5, weight="bold", color=GREY, va="center")

    def panel(self, figure: Figure, row: int, column: int) -> Axes:
        """A panel."""
        width, height = self.panel_in
        top = _TOP_IN + row * (_HEAD_IN + height + _GAP_IN) + _HEAD_IN
        return place(figure, LEFT_IN + column * _STEP_IN, top, width, height)
