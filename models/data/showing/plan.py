"""A site from above: its buildings, streets, zones and sector, with the boresight upwards.

All maps are turned like this: left on the map is left in the camera frame, in the radar's maps and in the tensors that
the networks see, and sites that face different ways can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Arc, Patch, Rectangle, Wedge
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from models.data.raytraced.zones import MARGIN, NLOS, OFF, OPEN, REGION
from models.data.schema import Arrays
from models.data.shards import ShardSet
from models.data.showing.look import GREY, INK, TINY
from service.contract.sites import Site

ZONE_NAMES = {
    OPEN: "open: train, val, test", MARGIN: "margin: nobody", REGION: "region: unseen region",
    NLOS: "nlos: unseen, no line of sight",
}  # fmt: skip
ZONE_COLOURS = {OPEN: "#e3eef3", MARGIN: "#eceae4", REGION: "#d3ebe3", NLOS: "#e6dcf0"}
STATION, WALL = "#22313f", "#a9a394"
_GROUND = "#f8f7f3"
_ROOFS = ((3.0, "#ddd8cc"), (15.0, "#cdc7b8"), (25.0, "#bbb4a3"))  # height above the nearest street in metres, colour
_CELL_M = 0.5  # of the drawn picture
_MARGIN_M = 8.0  # around the sector
_ARCS_M = (50.0, 100.0, 150.0)
_RULER_M = 50.0
_HALO = [withStroke(linewidth=2.5, foreground="white", alpha=0.8)]  # keeps small print legible over anything

Bounds = tuple[float, float, float, float]  # left to right, bottom to top, in metres of the plan


@dataclass(frozen=True)
class Plan:
    """The ground of a site and the frame of its maps: x to the right of the boresight, y forward, in metres.

    Attributes:
        site: the site.
        sector_deg, range_m: the served sector, see `raytraced.layouts`.
        roof_m: float32 `[rows, columns]` height above the nearest street, in cells of 1 m, rows northwards.
        zone: uint8 `[rows, columns]`.
        west_south_m: ENU of the south-west corner.
    """

    site: Site
    sector_deg: float
    range_m: tuple[float, float]
    roof_m: NDArray[np.float32]
    zone: NDArray[np.uint8]
    west_south_m: NDArray[np.float64]

    @property
    def bounds(self) -> Bounds:
        """What a map shows: the sector and the mast, with a margin."""
        far, half = self.range_m[1], math.radians(self.sector_deg)
        side = far * (math.sin(half) if half < math.pi / 2 else 1.0)
        behind = min(0.0, far * math.cos(half))
        return -side - _MARGIN_M, side + _MARGIN_M, behind - _MARGIN_M, far + _MARGIN_M

    @property
    def aspect(self) -> float:
        """Height of a map over its width."""
        left, right, bottom, top = self.bounds
        return (top - bottom) / (right - left)

    def of(self, enu_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points `[..., 2 or more]` of ENU on the map, `[..., 2]`."""
        mast = self.site.to_mast(np.asarray(enu_m)[..., :2])
        return np.stack([-mast[..., 1], mast[..., 0]], -1)

    def cells(self, values: NDArray[np.generic], outside: float) -> NDArray[np.generic]:
        """A ground array over the map's bounds in cells of `_CELL_M`, first row at the bottom."""
        left, right, bottom, top = self.bounds
        x, y = np.meshgrid(np.arange(left, right, _CELL_M), np.arange(bottom, top, _CELL_M))
        enu = self.site.to_enu(np.stack([y + _CELL_M / 2, -x - _CELL_M / 2], -1))
        column, row = np.floor(enu - self.west_south_m).astype(int).transpose(2, 0, 1)
        inside = (row >= 0) & (row < values.shape[0]) & (column >= 0) & (column < values.shape[1])
        return np.where(inside, values[np.where(inside, row, 0), np.where(inside, column, 0)], outside)


def plan_of(shards: ShardSet, site: str) -> Plan:
    """The plan of a site of a set."""
    layout = dict(shards.settings["layouts"][site])
    ground = shards.ground(site)
    near, far = layout["range_m"]
    return Plan(
        site=shards.site(site),
        sector_deg=float(layout["sector_deg"]),
        range_m=(float(near), float(far)),
        roof_m=_above_street(ground),
        zone=ground["zone"],
        west_south_m=ground["west_south_m"],
    )


def draw_plan(axes: Axes, plan: Plan, zones: bool = False, arcs: bool = True) -> None:
    """Ground, buildings, the sector with arcs of equal distance, the mast, a ruler and north."""
    left, right, bottom, top = plan.bounds
    axes.imshow(
        _picture(plan, zones), extent=(left, right, bottom, top), origin="lower", interpolation="nearest", zorder=0
    )
    roof = plan.cells(plan.roof_m, 0.0)
    if roof.max() >= _ROOFS[0][0]:
        rows, columns = roof.shape
        x, y = left + (np.arange(columns) + 0.5) * _CELL_M, bottom + (np.arange(rows) + 0.5) * _CELL_M
        axes.contour(x, y, roof, levels=[_ROOFS[0][0]], colors=[WALL], linewidths=0.7, zorder=1)
    _draw_sector(axes, plan, arcs)
    axes.plot(0, 0, marker="^", markersize=11, color=STATION, markeredgecolor="white", markeredgewidth=1.2, zorder=9)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    _draw_ruler(axes, plan)


def plan_marks(zones: bool) -> list[Patch]:
    """Legend entries of what `draw_plan` fills areas with."""
    tops = [f" to {height:g} m" for height, _ in _ROOFS[1:]] + [" m and more"]
    roofs = [
        Patch(facecolor=colour, edgecolor=WALL, label=f"building, {low:g}{high}")
        for (low, colour), high in zip(_ROOFS, tops, strict=True)
    ]
    ground = [Patch(facecolor=ZONE_COLOURS[z], edgecolor="#c9c6bd", label=name) for z, name in ZONE_NAMES.items()]
    return (ground if zones else []) + roofs


def _above_street(ground: Arrays) -> NDArray[np.float32]:
    """Height above the nearest street: where the city is hilly, the foot of the mast says little about a roof."""
    height, street = ground["height_m"], ground["zone"] != OFF
    if not street.any():
        return np.asarray(height)
    row, column = ndimage.distance_transform_edt(~street, return_distances=False, return_indices=True)
    return np.where(street, np.float32(0), height - height[row, column])


def _picture(plan: Plan, zones: bool) -> NDArray[np.float64]:
    roof = plan.cells(plan.roof_m, 0.0)
    picture = np.empty((*roof.shape, 3))
    picture[:] = to_rgb(_GROUND)
    if zones:
        zone = plan.cells(plan.zone, OFF)
        for value, colour in ZONE_COLOURS.items():
            picture[zone == value] = to_rgb(colour)
    for height, colour in _ROOFS:
        picture[roof >= height] = to_rgb(colour)
    return picture


def _draw_sector(axes: Axes, plan: Plan, arcs: bool) -> None:
    near, far = plan.range_m
    first, last = 90 - plan.sector_deg, 90 + plan.sector_deg
    edge = {"edgecolor": STATION, "alpha": 0.45, "linewidth": 0.9, "linestyle": (0, (5, 4))}
    axes.add_patch(Wedge((0, 0), far, first, last, width=far - near, fill=False, **edge, zorder=2))
    if not arcs:
        return
    for radius in (r for r in _ARCS_M if near < r < far):
        line = {"color": STATION, "alpha": 0.45, "linewidth": 0.7, "linestyle": (0, (1, 3)), "zorder": 2}
        axes.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=first, theta2=last, **line))
        angle = math.radians(first)
        axes.annotate(
            f"{radius:g} m", (radius * math.cos(angle), radius * math.sin(angle)), xytext=(3, -3),
            textcoords="offset points", fontsize=TINY, color=GREY, va="top", annotation_clip=False, zorder=3.2,
            path_effects=_HALO,
        )  # fmt: skip


def _draw_ruler(axes: Axes, plan: Plan) -> None:
    left, right, bottom, _ = plan.bounds
    thick = 0.008 * (right - left)
    start, low = left + _MARGIN_M, bottom + _MARGIN_M
    axes.add_patch(Rectangle((start, low), _RULER_M, thick, color=INK, zorder=9))
    small = {"fontsize": TINY, "color": INK, "ha": "center", "path_effects": _HALO, "zorder": 9}
    axes.text(start + _RULER_M / 2, low + 2 * thick, f"{_RULER_M:g} m", **small)
    north = plan.of(np.array([0.0, 1.0]))
    tail = np.array([start + _RULER_M + 5 * _MARGIN_M / 2, low + 8 * thick]) - north * 5 * thick
    style = {"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": INK, "linewidth": 1.0}
    axes.annotate("", tail + north * 10 * thick, tail, arrowprops=style, zorder=9)
    axes.text(*(tail + north * 14 * thick), "N", va="center", **small)
