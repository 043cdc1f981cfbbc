"""The map of one snapshot: who is where, and by which rays the site hears them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from models.data.showing.instant import Instant, Ue
from models.data.showing.look import BLOCKER_COLOURS, BLOCKER_NAMES, BODY, GREY, INK, RAYS, colour_bar, title
from models.data.showing.plan import STATION, draw_plan, plan_marks

MARKERS = {"car": "s", "bus": "D", "truck": "p", "bicycle": "h", "person": "o"}
AHEAD_S = 2.0  # an arrow ends where its body will be after this time
STILL_MPS = 0.4  # slower than this counts as still
_RAYS, _RAYS_OF_CHOSEN = 2, 12  # strongest paths that are drawn of a UE
_SPAN_DB = 45.0  # of the colours of the rays
_INTERACTIONS = {1: ("o", "reflection"), 2: ("*", "diffuse scattering"), 8: ("D", "diffraction")}


def draw_where(axes: Axes, instant: Instant, chosen: Ue | None, band: int) -> None:
    """Footprints to scale, numbered UEs coloured by what blocks them, their strongest rays, where all are going."""
    draw_plan(axes, instant.plan)
    _draw_rays(axes, instant, chosen, band)
    carried = {ue.body for ue in instant.ues}
    others = [int(body) for body in np.flatnonzero(instant.present) if int(body) not in carried]
    shapes = [instant.plan.of(instant.footprint_m(body)) for body in others]
    axes.add_collection(PolyCollection(shapes, facecolor=BODY, zorder=4))
    for body in others:
        _arrow(axes, instant, body, BODY)
        if instant.bodies[body].kind in ("person", "bicycle"):  # to scale it would be one pixel
            axes.plot(*instant.plan.of(instant.pose[body]), marker="o", markersize=3.4, color=BODY, zorder=4)
    for ue in instant.ues:
        _arrow(axes, instant, ue.body, INK)
        x, y = instant.plan.of(ue.antenna_m)
        if ue is chosen:
            axes.plot(x, y, marker="o", markersize=21, fillstyle="none", color=INK, markeredgewidth=1.6, zorder=6)
        axes.plot(
            x, y, marker=MARKERS[ue.body_kind], markersize=13, color=BLOCKER_COLOURS[ue.blocker],
            markeredgecolor="white", zorder=7,
        )  # fmt: skip
        hollow = {"fontsize": 7.5, "weight": "bold", "color": "white", "ha": "center", "va": "center_baseline"}
        axes.text(x, y, str(ue.number), **hollow, zorder=8)
    ringed = f"UE {chosen.number} is ringed; " if chosen else ""
    title(axes, "Map", f"boresight upwards; {ringed}an arrow ends where its body is {AHEAD_S:g} s later")


def draw_outlines(axes: Axes, instant: Instant) -> None:
    """True footprints of all bodies, and the numbers of the UEs, over what a sensor saw of them."""
    present = [int(body) for body in np.flatnonzero(instant.present)]
    shapes = [instant.plan.of(instant.footprint_m(body)) for body in present]
    axes.add_collection(PolyCollection(shapes, facecolor="none", edgecolor=INK, linewidth=0.7, zorder=5))
    for ue in instant.ues:
        offset = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": 7.5, "color": INK}
        axes.annotate(str(ue.number), instant.plan.of(instant.pose[ue.body]), **offset, zorder=6)


def map_marks(instant: Instant) -> list[object]:
    """Legend entries of the map."""
    kinds = sorted({ue.body_kind for ue in instant.ues})
    blockers = sorted({ue.blocker for ue in instant.ues})
    interactions = [mark for code, mark in _INTERACTIONS.items() if any((ue.kind == code).any() for ue in instant.ues)]
    return [
        Line2D([], [], linestyle="", marker="^", markersize=9, color=STATION, label="mast"),
        *(Patch(color=BLOCKER_COLOURS[b], label=f"UE, {BLOCKER_NAMES[b]}") for b in blockers),
        *(_hollow(MARKERS[kind], f"UE on a {kind}", 7) for kind in kinds),
        Patch(color=BODY, label="body without a UE"),
        *(_hollow(marker, name, 4.5) for marker, name in interactions),
        *plan_marks(zones=False),
    ]


def ray_m(instant: Instant, ue: Ue, path: int) -> NDArray[np.float64]:
    """One path from the array over its points of interaction to the UE, ENU, `[2 or more, 3]`."""
    points = ue.vertex_m[path]
    return np.vstack([instant.array_m, points[np.isfinite(points[:, 0])], ue.antenna_m])


def strongest(ue: Ue, band: int, count: int) -> list[int]:
    """Indices of the strongest paths at a band, the strongest last; paths without power are left out."""
    power = np.abs(ue.gain[:, band])
    order = np.argsort(power)[-count:]
    return [int(path) for path in order if power[path] > 0]


def _draw_rays(axes: Axes, instant: Instant, chosen: Ue | None, band: int) -> None:
    lines, gains, widths = [], [], []
    for ue in instant.ues:
        for path in strongest(ue, band, _RAYS_OF_CHOSEN if ue is chosen else _RAYS):
            lines.append(instant.plan.of(ray_m(instant, ue, path)))
            gains.append(20 * np.log10(np.abs(ue.gain[path, band])))
            widths.append(1.7 if ue is chosen else 0.7)
            if ue is chosen:
                _draw_interactions(axes, instant, ue, path)
    if not lines:
        return
    top = 5 * np.ceil(max(gains) / 5)
    span = Normalize(top - _SPAN_DB, top)
    order = np.lexsort((gains, widths))  # the ringed UE's on top, and among them the strongest
    rays = LineCollection([lines[i] for i in order], linewidths=[widths[i] for i in order], cmap=RAYS, norm=span)
    rays.set(array=np.array(gains)[order], zorder=3, capstyle="round")
    axes.add_collection(rays)
    colour_bar(axes, RAYS, span, f"gain of a ray at {instant.bands[band].name}, dB", "min")


def _draw_interactions(axes: Axes, instant: Instant, ue: Ue, path: int) -> None:
    for code, (marker, _) in _INTERACTIONS.items():
        points = instant.plan.of(ue.vertex_m[path][ue.kind[path] == code])
        axes.plot(*points.T, ls="", marker=marker, ms=4.5, color="white", markeredgecolor=INK, mew=0.8, zorder=3.5)


def _arrow(axes: Axes, instant: Instant, body: int, colour: str) -> None:
    start = instant.pose[body, :2]
    way = instant.velocity_mps[body] * AHEAD_S
    if np.hypot(*way) > STILL_MPS * AHEAD_S:
        style = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "color": colour, "linewidth": 1.3}
        ends = instant.plan.of(np.stack([start, start + way]))
        axes.annotate("", ends[1], ends[0], arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, zorder=5)


def _hollow(marker: str, label: str, size: float) -> Line2D:
    style = {"markerfacecolor": "white", "color": GREY, "markeredgewidth": 0.9}
    return Line2D([], [], ls="", marker=marker, ms=size, label=label, **style)
