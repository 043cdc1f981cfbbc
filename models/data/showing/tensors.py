"""The vision-compatible tensors of a snapshot side by side: what the networks see of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from numpy.typing import NDArray

from models.data.showing.instant import Instant, Ue
from models.data.showing.look import AMOUNT, BLOCKER_COLOURS, BLOCKER_NAMES, GREY, INK, LEFT_IN, SIGNED, WIDTH_IN
from service.normalizers.camera import camera_rgb
from service.normalizers.csi import DYNAMIC_RANGE_DB, csi_planes
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes

_ELEVATIONS = ("−1", "−0.5", "0", "0.5")  # sin(elevation) of the beams, see `service.normalizers.csi`
_HEAD_IN, _PLANE_IN, _BETWEEN_IN, _BOTTOM_IN = 1.4, 1.7, 1.12, 0.6
TENSORS_IN = _HEAD_IN + 2 * _PLANE_IN + _BETWEEN_IN + _BOTTOM_IN  # height of the whole block
_SIDE = "sin(azimuth), left +"


@dataclass(frozen=True)
class Axis:
    """An axis of a plane: what it measures and from where to where."""

    label: str
    low: float
    high: float


def draw_tensors(figure: Figure, instant: Instant, ue: Ue, top_in: float) -> None:
    """Two rows of planes in the `TENSORS_IN` below `top_in`: the CSI of a UE; camera, radar and LiDAR."""
    whole_in = top_in + TENSORS_IN
    bounds = {"left": LEFT_IN / WIDTH_IN, "right": 1 - 0.35 / WIDTH_IN, "bottom": _BOTTOM_IN / whole_in}
    rows = figure.add_gridspec(2, 1, **bounds, top=(TENSORS_IN - _HEAD_IN) / whole_in, hspace=_BETWEEN_IN / _PLANE_IN)
    _draw_csi(figure, rows[0], instant, ue)
    _draw_scene(figure, rows[1], instant)


def _draw_csi(figure: Figure, row: SubplotSpec, instant: Instant, ue: Ue) -> None:
    planes = csi_planes(ue.csi[None])[0]
    bandwidth_hz = instant.site.bandwidth_hz
    assert bandwidth_hz
    ns = 1e9 / bandwidth_hz
    delay = Axis("delay, ns", -0.5 * ns, (planes.shape[2] - 0.5) * ns)
    side = Axis("sin(az.) cos(el.), left +", -1 - 1 / planes.shape[1], 1 - 1 / planes.shape[1])
    names = [f"elevation beam, sin(el.) = {e}" for e in _ELEVATIONS] + ["cosine of the phase", "sine of the phase"]
    cells = row.subgridspec(1, len(planes), wspace=0.13)
    for index, (plane, name) in enumerate(zip(planes, names, strict=True)):
        axes = figure.add_subplot(cells[index])
        span = (0.0, 1.0) if index < len(_ELEVATIONS) else (-1.0, 1.0)
        _draw_plane(axes, plane, name, side, delay, AMOUNT if span[0] == 0 else SIGNED, span, first=index == 0)
        if index == 0:
            power = f"{ue.paths} paths, {ue.power_dbm:.0f} dBm an element" if ue.paths else "no path, noise only"
            detail = (
                f"{_shape(planes)}   {ue.kind}, {BLOCKER_NAMES[ue.blocker]}, {instant.range_m(ue):.0f} m, {power}. "
                f"Log-magnitude from 0, {DYNAMIC_RANGE_DB:.0f} dB below the strongest bin, to 1; phase against that bin"
            )
            _head(axes, f"csi of UE {ue.number}", detail, BLOCKER_COLOURS[ue.blocker])


def _draw_scene(figure: Figure, row: SubplotSpec, instant: Instant) -> None:
    site = instant.site
    cells = row.subgridspec(1, 8, width_ratios=(1.9, *(1,) * 7), wspace=0.46)
    axes = figure.add_subplot(cells[0])
    picture = camera_rgb([instant.camera])[0]
    axes.imshow(picture.transpose(1, 2, 0), aspect="auto", interpolation="nearest")
    _frame(axes, "red, green, blue")
    axes.set_xlabel("column", fontsize=8.5, color=GREY)
    axes.set_ylabel("row", fontsize=8.5, color=GREY)
    _head(axes, "camera", _shape(picture))
    reach, across = Axis("slant range, m", 0, site.range_max_m), Axis(_SIDE, -1, 1)
    speed = Axis("radial speed, m/s", -site.velocity_max_mps, site.velocity_max_mps)
    time = Axis("time, ms", 0, 1e3 * site.radar_window_s)
    height = Axis("height, m", site.height_min_m, site.height_max_m)
    radar, lidar = radar_planes([instant.radar], [site])[0], lidar_planes([instant.lidar], [site])[0]
    radar_axes = (("range–azimuth", across, reach), ("range–Doppler", speed, reach), ("time–Doppler", speed, time),
                  ("time–height", height, time))  # fmt: skip
    for index, (plane, (name, up, along)) in enumerate(zip(radar, radar_axes, strict=True)):
        axes = figure.add_subplot(cells[1 + index])
        _draw_plane(axes, plane, name, up, along, AMOUNT, (0.0, float(radar.max())), first=True)
        if index == 0:
            _head(axes, "radar", f"{_shape(radar)}   ln(1 + weight), to {radar.max():.1f}")
    for index, (plane, name) in enumerate(
        zip(lidar, ("height / 10 m", "ln(1 + returns) / 3", "intensity"), strict=True)
    ):
        axes = figure.add_subplot(cells[5 + index])
        _draw_plane(
            axes,
            plane,
            f"{name}, to {plane.max():.2g}",
            across,
            reach,
            AMOUNT,
            (0.0, float(plane.max())),
            first=index == 0,
        )
        if index == 0:
            _head(axes, "lidar", _shape(lidar))


def _draw_plane(
    axes: Axes,
    plane: NDArray[np.float32],
    name: str,
    up: Axis,
    along: Axis,
    colours: Colormap,
    span: tuple[float, float],
    first: bool,
) -> None:
    extent = (along.low, along.high, up.low, up.high)
    axes.imshow(
        plane, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=span[0], vmax=span[1] or 1.0,
        interpolation="nearest",
    )  # fmt: skip
    _frame(axes, name)
    axes.set_xlabel(along.label, fontsize=8.5, color=GREY)
    if first:
        axes.set_ylabel(up.label, fontsize=8.5, color=GREY, labelpad=2)
    else:
        axes.tick_params(labelleft=False)


def _frame(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=9, color=GREY, pad=4)
    axes.tick_params(colors=GREY, length=0, labelsize=8, pad=2)
    axes.spines[:].set_color("#d5d8dd")
    axes.spines[:].set_linewidth(0.6)


def _head(axes: Axes, name: str, detail: str, colour: str = INK) -> None:
    """Name of a tensor over the title of its first plane."""
    head = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(name, xytext=(0, 24), fontsize=11.5, weight="bold", color=colour, **head)
    axes.annotate(detail, xytext=(8 + 7.6 * len(name), 24), fontsize=9, color=GREY, **head)


def _shape(array: NDArray[np.generic]) -> str:
    return str(list(array.shape))
