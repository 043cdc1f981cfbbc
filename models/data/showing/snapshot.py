"""The picture of one snapshot: map, camera, LiDAR, radar, and the tensors that the networks see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from models.data.raytraced.channel import CLEAR
from models.data.raytraced_set import part_of
from models.data.showing.camera_view import draw_camera, seen_bodies
from models.data.showing.instant import Instant, Ue
from models.data.showing.look import (
    BLOCKER_COLOURS,
    BLOCKER_NAMES,
    GREY,
    HEIGHT,
    INK,
    LEFT_IN,
    SPEED,
    STATION,
    Heights,
    draw_map,
    map_height_in,
    new_figure,
    place,
    roof_marks,
    save,
    scale_bar,
    title,
)  # fmt: skip
from models.data.showing.tensors import TENSORS_IN, draw_tensors

_MARKERS = {"car": "s", "bus": "D", "truck": "p", "person": "o"}
_AHEAD_S = 2.0  # an arrow ends where its body will be after this time
_STILL_MPS = 0.4  # slower than this counts as still
_PANEL_IN, _RIGHT_IN, _TOP_IN, _GAP_IN = 7.6, 9.6, 1.6, 1.0  # layout of the four panels
_LIDAR_MAX_M = 30.0


def draw_snapshot(path: Path, instant: Instant, ue: Ue, heights: Heights | None) -> dict[str, object]:
    """Write the picture as a PNG; returns what was written and the counts in it."""
    counts = snapshot_counts(instant)
    map_in = map_height_in(instant.layout, _PANEL_IN)
    below_in = _TOP_IN + 2 * map_in + _GAP_IN
    figure = new_figure(below_in + TENSORS_IN, _title(instant), *_lines(instant, counts))
    seen = seen_bodies(instant)
    where = place(figure, LEFT_IN, _TOP_IN, _PANEL_IN, map_in)
    camera = place(figure, _RIGHT_IN, _TOP_IN, _PANEL_IN, _PANEL_IN / 2)
    _draw_where(where, instant, ue, heights)
    boxes = draw_camera(camera, instant, seen)
    title(camera, "Camera", f"{boxes} boxes, white: without a UE; a body that the LiDAR finds hidden has none")
    camera.legend(
        handles=_marks(instant, heights), loc="upper left", bbox_to_anchor=(0, -0.125), ncols=4, fontsize=8.5,
        frameon=False, labelcolor=INK, borderaxespad=0, columnspacing=1.6,
    )  # fmt: skip
    second_in = _TOP_IN + map_in + _GAP_IN
    _draw_lidar(place(figure, LEFT_IN, second_in, _PANEL_IN, map_in), instant, heights)
    _draw_radar(place(figure, _RIGHT_IN, second_in, _PANEL_IN, map_in), instant, heights)
    draw_tensors(figure, instant, ue, below_in)
    return {"path": str(path), "bytes": save(figure, path), "boxes": boxes, **counts}


def snapshot_counts(instant: Instant) -> dict[str, object]:
    """What there is in a snapshot, for the title and for machines."""
    kinds = Counter(body.kind for body, here in zip(instant.bodies, instant.present, strict=True) if here)
    blocked = Counter(ue.blocker for ue in instant.ues)
    return {
        "episode": instant.episode, "snapshot": instant.snapshot, "part": part_of(instant.episode),
        "time_s": instant.time_s, "bodies": dict(kinds), "ues": len(instant.ues),
        "blockers": {name: blocked[index] for index, name in enumerate(BLOCKER_NAMES)},
        "outages": sum(ue.paths == 0 for ue in instant.ues),
        "lidar_returns": len(instant.lidar), "radar_detections": len(instant.radar),
        "radar_moving": int((np.abs(instant.radar[:, 4]) > _STILL_MPS).sum()), "camera_bytes": len(instant.camera),
    }  # fmt: skip


def _title(instant: Instant) -> str:
    return f"Site {instant.site.name}, episode {instant.episode}, snapshot {instant.snapshot}: what each sensor saw"


def _lines(instant: Instant, counts: dict[str, object]) -> list[str]:
    site = instant.site
    assert site.carrier_hz
    assert site.bandwidth_hz
    bodies, blockers = dict(counts["bodies"]), dict(counts["blockers"])
    scene = [
        f"{counts['part']} part, t = {instant.time_s:.1f} s",
        f"{site.carrier_hz / 1e9:g} GHz, {site.bandwidth_hz / 1e6:g} MHz",
        f"{site.array_rows} × {site.array_cols} array {site.mast_height_m:g} m up, boresight {site.boresight_deg:g}°",
        "bodies: " + ", ".join(f"{count} × {kind}" for kind, count in sorted(bodies.items())),
    ]
    links = [f"{counts['ues']} UEs", *(f"{count} {name}" for name, count in blockers.items() if count)]
    if counts["outages"]:
        links.append(f"{counts['outages']} in outage")
    return ["   ·   ".join(scene), "   ·   ".join(links)]


def _draw_where(axes: Axes, instant: Instant, chosen: Ue, heights: Heights | None) -> None:
    """Who is where: footprints to scale, UEs numbered and coloured by what blocks them, arrows for where they go."""
    draw_map(axes, instant.layout, heights)
    if heights is None:
        axes.scatter(instant.lidar[:, 0], instant.lidar[:, 1], s=0.6, color="#b9b4a6", linewidths=0, zorder=1)
    carried = {ue.body for ue in instant.ues}
    others = [int(body) for body in np.flatnonzero(instant.present) if int(body) not in carried]
    axes.add_collection(PolyCollection([instant.footprint_m(b) for b in others], facecolor="#7b8390", zorder=4))
    for body in others:
        _arrow(axes, instant, body, "#7b8390")
        if instant.bodies[body].kind == "person":  # to scale it would be one pixel
            axes.plot(*instant.pose[body, :2], marker="o", markersize=3.4, color="#7b8390", zorder=4)
    for ue in instant.ues:
        colour, (east, north) = BLOCKER_COLOURS[ue.blocker], ue.antenna_m[:2]
        style = "-" if ue.blocker == CLEAR else (0, (2, 3))
        axes.plot([0, east], [0, north], color=colour, linewidth=0.8, linestyle=style, alpha=0.45, zorder=3)
        _arrow(axes, instant, ue.body, INK)
        if ue is chosen:
            axes.plot(
                east, north, marker="o", markersize=22, fillstyle="none", color=INK, markeredgewidth=1.6, zorder=6
            )
        axes.plot(east, north, marker=_MARKERS[ue.kind], markersize=14, color=colour, markeredgecolor="white", zorder=7)
        hollow = {"fontsize": 8, "weight": "bold", "color": "white", "ha": "center", "va": "center_baseline"}
        axes.text(east, north, str(ue.number), **hollow, zorder=8)
    title(
        axes,
        "Map",
        f"UEs are numbered, UE {chosen.number} is ringed; an arrow ends where its body is {_AHEAD_S:g} s later",
    )


def _arrow(axes: Axes, instant: Instant, body: int, colour: str) -> None:
    start, way = instant.pose[body, :2], instant.velocity_mps[body] * _AHEAD_S
    if np.hypot(*way) > _STILL_MPS * _AHEAD_S:
        arrow = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "color": colour, "linewidth": 1.3, "shrinkA": 0}
        axes.annotate("", xy=start + way, xytext=start, arrowprops={**arrow, "shrinkB": 0}, zorder=5)


def _marks(instant: Instant, heights: Heights | None) -> list[object]:
    kinds = sorted({ue.kind for ue in instant.ues})
    blockers = sorted({ue.blocker for ue in instant.ues})
    return [
        Line2D([], [], linestyle="", marker="^", markersize=10, color=STATION, label="mast and its sector"),
        *(Patch(color=BLOCKER_COLOURS[b], label=f"UE, {BLOCKER_NAMES[b]}") for b in blockers),
        *(
            Line2D([], [], ls="", marker=_MARKERS[k], ms=8, markerfacecolor="none", color=GREY, label=f"UE on a {k}")
            for k in kinds
        ),
        Patch(color="#7b8390", label="body without a UE"),
        *roof_marks(heights),
    ]  # fmt: skip


def _draw_lidar(axes: Axes, instant: Instant, heights: Heights | None) -> None:
    draw_map(axes, instant.layout, heights)
    span = Normalize(0, _LIDAR_MAX_M)
    order = np.argsort(instant.lidar[:, 2])
    east, north, up = instant.lidar[order, :3].T
    axes.scatter(east, north, c=up, cmap=HEIGHT, norm=span, s=2.2, linewidths=0, zorder=3)
    _outlines(axes, instant)
    scale_bar(axes, HEIGHT, span, "height, m", "max")
    rings = len(np.unique(instant.lidar[:, 4]))
    title(axes, "LiDAR", f"{len(instant.lidar)} returns of {rings} rings; outlines: true footprints of the bodies")


def _draw_radar(axes: Axes, instant: Instant, heights: Heights | None) -> None:
    draw_map(axes, instant.layout, heights)
    speed = instant.radar[:, 4]
    fastest = max(1.0, float(np.ceil(np.abs(speed).max(initial=0.0))))
    span = Normalize(-fastest, fastest)
    moving = np.abs(speed) > _STILL_MPS
    axes.scatter(*instant.radar[~moving, 1:3].T, s=7, color="#6d7480", linewidths=0, zorder=3)
    shown = {"c": speed[moving], "cmap": SPEED, "norm": span, "edgecolors": INK, "linewidths": 0.25}
    axes.scatter(*instant.radar[moving, 1:3].T, s=13, **shown, zorder=4)
    _outlines(axes, instant)
    scale_bar(axes, SPEED, span, "radial speed, m/s (positive: away)", "neither")
    title(
        axes, "Radar",
        f"{len(speed)} detections, {int(moving.sum())} of them faster than {_STILL_MPS:g} m/s; grey: still",
    )  # fmt: skip


def _outlines(axes: Axes, instant: Instant) -> None:
    present = [int(body) for body in np.flatnonzero(instant.present)]
    shapes = [instant.footprint_m(body) for body in present]
    axes.add_collection(PolyCollection(shapes, facecolor="none", edgecolor=INK, linewidth=0.7, zorder=5))
    numbers = {ue.body: ue.number for ue in instant.ues}
    for body in present:
        if body in numbers:
            offset = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 8, "color": INK}
            axes.annotate(str(numbers[body]), instant.pose[body, :2], **offset, zorder=6)
