"""The vision-compatible tensors of a snapshot side by side: what the networks see of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from numpy.typing import NDArray

from models.data.showing.instant import Instant, Ue
from models.data.showing.look import (
    AMOUNT,
    BLOCKER_NAMES,
    GREY,
    INK,
    LEFT_IN,
    PALE,
    SIGNED,
    SMALL,
    TINY,
    WIDTH_IN,
    chart,
    heading,
)  # fmt: skip
from service.normalizers.camera import camera_rgb
from service.normalizers.csi import DYNAMIC_RANGE_DB, csi_planes
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes

_ELEVATIONS = ("−1", "−0.5", "0", "0.5")  # sin(elevation) of the beams, see `service.normalizers.csi`
_SIDE = "sin(azimuth), left +"
_LEGEND = (
    f"csi: log-magnitude, 1 at the strongest bin and 0 from {DYNAMIC_RANGE_DB:.0f} dB below it; phase against that "
    "bin. aoa: beam power, the red line is the true direction"
)
_HEAD_IN, _ROW_IN, _BETWEEN_IN, _SCENE_IN = 0.95, 1.4, 0.3, 1.65
_AXIS_IN, _SCENE_HEAD_IN = 0.3, 0.65


@dataclass(frozen=True)
class Axis:
    """An axis of a plane: what it measures and from where to where."""

    label: str
    low: float
    high: float


def tensors_in(bands: int, ue: bool) -> float:
    """Height of the whole block in inches."""
    rows = _HEAD_IN + bands * (_ROW_IN + _BETWEEN_IN) + _AXIS_IN if ue else 0.0
    return rows + _SCENE_HEAD_IN + _SCENE_IN + 0.6


def draw_tensors(figure: Figure, instant: Instant, ue: Ue | None, top_in: float) -> None:
    """From `top_in` downwards: the CSI of a UE at every band, then camera, radar and LiDAR."""
    scene_in = top_in + _SCENE_HEAD_IN
    if ue:
        heading(figure, top_in, f"What the networks see of UE {ue.number}", _truth(instant, ue), _LEGEND)
        _draw_ue(figure, instant, ue, top_in + _HEAD_IN)
        scene_in += _HEAD_IN + len(instant.bands) * (_ROW_IN + _BETWEEN_IN) + _AXIS_IN
    _draw_scene(figure, _row(figure, scene_in, _SCENE_IN), instant)


def _row(figure: Figure, top_in: float, height_in: float) -> SubplotSpec:
    whole_in = figure.get_figheight()
    bounds = {"left": (LEFT_IN + 0.15) / WIDTH_IN, "right": 1 - 0.3 / WIDTH_IN}
    return figure.add_gridspec(1, 1, **bounds, top=1 - top_in / whole_in, bottom=1 - (top_in + height_in) / whole_in)[0]


def _draw_ue(figure: Figure, instant: Instant, ue: Ue, top_in: float) -> None:
    names = [f"beam at sin(el.) = {e}" for e in _ELEVATIONS] + ["cosine of the phase", "sine of the phase"]
    last = len(instant.bands) - 1
    for number, band in enumerate(instant.bands):
        planes = csi_planes(ue.csi[number][None])[0]
        ns = 1e9 / band.bandwidth_hz
        delay = Axis("delay, ns", -0.5 * ns, (planes.shape[2] - 0.5) * ns)
        side = Axis("sin(az.) cos(el.)", -1 - 1 / planes.shape[1], 1 - 1 / planes.shape[1])
        row_in = top_in + number * (_ROW_IN + _BETWEEN_IN)
        cells = _row(figure, row_in, _ROW_IN).subgridspec(1, len(planes) + 1, wspace=0.11)
        for index, (plane, name) in enumerate(zip(planes, names, strict=True)):
            axes = figure.add_subplot(cells[index])
            span = (0.0, 1.0) if index < len(_ELEVATIONS) else (-1.0, 1.0)
            _draw_plane(axes, plane, side, delay, AMOUNT if span[0] == 0 else SIGNED, span, index == 0, number == last)
            if number == 0:
                _name(axes, name)
            if index == 0:
                axes.text(
                    0.97, 0.93, band.name, transform=axes.transAxes, ha="right", va="top", fontsize=SMALL,
                    weight="bold", color=INK, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 2},
                )  # fmt: skip
        _draw_aoa(figure.add_subplot(cells[len(planes)]), instant, ue, number, side, number == last)


def _truth(instant: Instant, ue: Ue) -> str:
    measured = [f"{metres:.1f} m" if math.isfinite(metres) else "none" for metres in ue.distance_m.astype(float)]
    power = [f"{dbm:.0f} dBm" for dbm in ue.gain_db]
    return (
        f"{ue.body_kind}, {BLOCKER_NAMES[ue.blocker]}, {len(ue.gain)} paths   ·   "
        f"distance {instant.range_m(ue):.1f} m, measured {', '.join(measured)}   ·   gain {', '.join(power)} per "
        "antenna and subcarrier"
    )


def _draw_aoa(axes: Axes, instant: Instant, ue: Ue, band: int, side: Axis, last: bool) -> None:
    chart(axes)
    profile = ue.aoa_profile[band]
    bins = (np.arange(len(profile)) - len(profile) // 2) / (len(profile) // 2)
    axes.fill_betweenx(bins, 0, profile, color="#9fd0c4", linewidth=0)
    axes.plot(profile, bins, color="#0a6c8e", linewidth=1.1)
    away = instant.site.to_mast(ue.antenna_m - instant.array_m)
    axes.axhline(float(away[1] / np.linalg.norm(away)), color="#d9485f", linewidth=1.2)
    axes.set(xlim=(0, 1.03), ylim=(side.low, side.high), xticks=[0, 0.5, 1])
    axes.tick_params(labelleft=False, labelbottom=last, labelsize=TINY)
    axes.spines["bottom"].set_visible(False)
    if last:
        axes.set_xlabel("power over the strongest", fontsize=TINY, color=GREY, labelpad=2)
    if band == 0:
        _name(axes, "aoa profile")


def _draw_scene(figure: Figure, row: SubplotSpec, instant: Instant) -> None:
    site = instant.site
    cells = row.subgridspec(1, 8, width_ratios=(1.9, *(1,) * 7), wspace=0.42)
    axes = figure.add_subplot(cells[0])
    picture = camera_rgb([instant.camera])[0]
    axes.imshow(picture.transpose(1, 2, 0), aspect="auto", interpolation="nearest")
    _frame(axes)
    axes.set(xticks=[], yticks=[])
    _name(axes, "red, green, blue")
    _head(axes, "camera", list(picture.shape))
    reach, across = Axis("slant range, m", 0, site.range_max_m), Axis(_SIDE, -1, 1)
    speed = Axis("radial speed, m/s", -site.velocity_max_mps, site.velocity_max_mps)
    time = Axis("time, ms", 0, 1e3 * site.radar_window_s)
    height = Axis("height, m", site.height_min_m, site.height_max_m)
    radar, lidar = radar_planes([instant.radar], [site])[0], lidar_planes([instant.lidar], [site])[0]
    top = max(1.0, float(radar.max()))
    planes = [
        (radar[0], "range–azimuth", across, reach, top), (radar[1], "range–Doppler", speed, reach, top),
        (radar[2], "time–Doppler", speed, time, top), (radar[3], "time–height", height, time, top),
        (lidar[0], "height / 10 m", across, reach, float(lidar[0].max())),
        (lidar[1], "ln(1 + returns) / 3", across, reach, float(lidar[1].max())),
        (lidar[2], "intensity", across, reach, float(lidar[2].max())),
    ]  # fmt: skip
    for index, (plane, name, up, along, most) in enumerate(planes):
        axes = figure.add_subplot(cells[1 + index])
        _draw_plane(axes, plane, up, along, AMOUNT, (0.0, most), True, True)
        _name(axes, f"{name}, to {most:.2g}" if index >= len(radar) else name)
        if index == 0:
            _head(axes, "radar", f"{list(radar.shape)}, ln(1 + weight), to {top:.1f}")
        if index == len(radar):
            _head(axes, "lidar", list(lidar.shape))


def _draw_plane(
    axes: Axes, plane: NDArray[np.float32], up: Axis, along: Axis, colours: Colormap, span: tuple[float, float],
    first: bool, last: bool,
) -> None:  # fmt: skip
    extent = (along.low, along.high, up.low, up.high)
    axes.imshow(
        plane, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=span[0], vmax=span[1] or 1.0,
        interpolation="nearest",
    )  # fmt: skip
    _frame(axes)
    axes.tick_params(labelleft=first, labelbottom=last)
    if last:
        axes.set_xlabel(along.label, fontsize=TINY, color=GREY, labelpad=2)
    if first:
        axes.set_ylabel(up.label, fontsize=TINY, color=GREY, labelpad=1)


def _frame(axes: Axes) -> None:
    axes.tick_params(colors=GREY, length=0, labelsize=7.5, pad=2)
    axes.spines[:].set_color(PALE)
    axes.spines[:].set_linewidth(0.6)


def _name(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=TINY, color=GREY, pad=4)


def _head(axes: Axes, name: str, detail: object) -> None:
    """Name of a tensor over the title of its first plane."""
    style = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    text = axes.annotate(name, (0, 1), xytext=(0, 20), fontsize=11.5, weight="bold", color=INK, **style)
    style["xycoords"] = text
    axes.annotate(str(detail), (1, 0), xytext=(6, 0.5), fontsize=SMALL, color=GREY, **style)
