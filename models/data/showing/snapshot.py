"""The picture of one snapshot: map with rays, camera, LiDAR, radar, and the tensors that the networks see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from models.data.showing.camera_view import draw_camera
from models.data.showing.instant import Instant, Ue
from models.data.showing.links import most_loss_db
from models.data.showing.look import (
    BAND_COLOURS,
    BLOCKER_COLOURS,
    BLOCKER_NAMES,
    GREY,
    INK,
    LEFT_IN,
    TINY,
    WIDTH_IN,
    chart,
    new_figure,
    place,
    save,
    title,
)  # fmt: skip
from models.data.showing.map_view import STILL_MPS, draw_where, map_marks
from models.data.showing.sensor_views import (
    draw_detections,
    draw_lidar_above,
    draw_lidar_images,
    draw_range_azimuth,
    draw_range_doppler,
)
from models.data.showing.tensors import draw_tensors, tensors_in

_TOP_IN, _LEGEND_IN, _GAP_IN = 1.6, 0.85, 0.75
_MAP_IN, _CAMERA_LEFT_IN = 7.75, 9.3  # width of the map, and where the camera frame begins
_LIDAR_IN, _LIDAR_LEFT_IN = 7.75, 9.3
_RADAR_IN = 5.6
_LOWEST_DB, _OUTAGE_DB = -40.0, -46.0  # of the chart of the powers


def draw_snapshot(path: Path, instant: Instant, ue: Ue | None, band: int) -> dict[str, object]:
    """Write the picture as a PNG; returns what was written and the counts in it.

    Args:
        ue: whose CSI is drawn, and most of whose rays; None in an empty scene.
        band: index of the band that the rays are drawn at.
    """
    counts = snapshot_counts(instant)
    map_in = _MAP_IN * instant.plan.aspect
    right_in = WIDTH_IN - _CAMERA_LEFT_IN - 0.3
    lidar_top_in = _TOP_IN + map_in + _LEGEND_IN + 0.35
    above_in = WIDTH_IN - _LIDAR_LEFT_IN - 1.05
    lidar_in = above_in * instant.plan.aspect
    radar_top_in = lidar_top_in + lidar_in + _GAP_IN
    radar_in = _RADAR_IN * instant.plan.aspect
    tensors_top_in = radar_top_in + radar_in + _GAP_IN + 0.1
    figure = new_figure(
        tensors_top_in + tensors_in(len(instant.bands), ue is not None), _title(instant), *_lines(instant, counts)
    )
    where = place(figure, LEFT_IN, _TOP_IN, _MAP_IN, map_in)
    draw_where(where, instant, ue, band)
    where.legend(
        handles=map_marks(instant), loc="upper left", bbox_to_anchor=(-0.01, -0.015), ncols=5, fontsize=TINY,
        frameon=False, labelcolor=INK, borderaxespad=0, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    camera = place(figure, _CAMERA_LEFT_IN, _TOP_IN, right_in, right_in / 2)
    boxes = draw_camera(camera, instant)
    title(camera, "Camera", f"{boxes} UEs are visible; the boxes hold what is seen of their bodies")
    power_top_in = _TOP_IN + right_in / 2 + 0.5
    power_in = _TOP_IN + map_in + _LEGEND_IN - 0.4 - power_top_in
    _draw_power(place(figure, _CAMERA_LEFT_IN + 0.35, power_top_in, right_in - 0.35, power_in), instant)

    strip_in = (lidar_in - 0.6) / 2
    draw_lidar_images(
        place(figure, LEFT_IN + 0.2, lidar_top_in, _LIDAR_IN - 0.2, strip_in),
        place(figure, LEFT_IN + 0.2, lidar_top_in + strip_in + 0.6, _LIDAR_IN - 0.2, strip_in),
        instant,
    )
    draw_lidar_above(place(figure, _LIDAR_LEFT_IN, lidar_top_in, above_in, lidar_in), instant)
    draw_range_azimuth(place(figure, LEFT_IN, radar_top_in, _RADAR_IN, radar_in), instant)
    draw_range_doppler(place(figure, LEFT_IN + _RADAR_IN + 0.7, radar_top_in, 2.2, radar_in - 0.2), instant)
    draw_detections(place(figure, WIDTH_IN - _RADAR_IN - 0.85, radar_top_in, _RADAR_IN, radar_in), instant)
    draw_tensors(figure, instant, ue, tensors_top_in)
    return {"path": str(path), "bytes": save(figure, path), "boxes": boxes, **counts}


def snapshot_counts(instant: Instant) -> dict[str, object]:
    """What there is in a snapshot, for the title and for machines."""
    kinds = Counter(body.kind for body, here in zip(instant.bodies, instant.present, strict=True) if here)
    blocked = Counter(ue.blocker for ue in instant.ues)
    return {
        "site": instant.site.name, "episode": instant.episode, "snapshot": instant.snapshot,
        "purpose": instant.purpose, "time_s": instant.time_s, "bodies": dict(sorted(kinds.items())),
        "ues": len(instant.ues), "blockers": {name: blocked[index] for index, name in enumerate(BLOCKER_NAMES)},
        "outages": sum(len(ue.gain) == 0 for ue in instant.ues),
        "lidar_returns": len(instant.lidar), "radar_detections": len(instant.radar),
        "radar_moving": int((np.abs(instant.radar[:, 4]) > STILL_MPS).sum()), "camera_bytes": len(instant.camera),
    }  # fmt: skip


def _title(instant: Instant) -> str:
    return f"Site {instant.site.name}, episode {instant.episode}, snapshot {instant.snapshot}: what each sensor saw"


def _lines(instant: Instant, counts: dict[str, object]) -> list[str]:
    site = instant.site
    bodies, blockers = dict(counts["bodies"]), dict(counts["blockers"])
    scene = [
        f"{instant.purpose} episode, t = {instant.time_s:.1f} s",
        ", ".join(band.name for band in instant.bands),
        f"{site.array_rows} × {site.array_cols} array, {site.mast_height_m:g} m up, facing {site.boresight_deg:g}° "
        "from north",
        "bodies: " + ", ".join(f"{count} × {kind}" for kind, count in bodies.items()),
    ]
    links = [f"{counts['ues']} UEs", *(f"{count} {name}" for name, count in blockers.items() if count)]
    if counts["outages"]:
        links.append(f"{counts['outages']} in outage")
    return ["   ·   ".join(scene), "   ·   ".join(links if counts["ues"] else ["empty scene: nobody transmits"])]


def _draw_power(axes: Axes, instant: Instant) -> None:
    """Received power over noise of every UE at every band; outages at the bottom."""
    chart(axes)
    axes.grid(visible=False, axis="x")
    axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    highest = 10.0
    for index, (band, colour) in enumerate(zip(instant.bands, BAND_COLOURS, strict=True)):
        over_noise = np.array([most_loss_db(band) - ue.csi_loss_db[index] for ue in instant.ues])
        places = np.arange(len(instant.ues)) + 0.22 * (index - 1)
        heard = over_noise >= _LOWEST_DB
        highest = max(highest, over_noise.max(initial=highest))
        axes.plot(places[heard], over_noise[heard], ls="", marker="o", ms=5, color=colour, label=band.name)
        axes.plot(places[~heard], np.full((~heard).sum(), _OUTAGE_DB), ls="", marker="x", ms=5, color=colour)
    axes.set(xlim=(-0.6, max(1, len(instant.ues)) - 0.4), ylim=(_OUTAGE_DB - 5, highest + 6))
    axes.set_xticks(range(len(instant.ues)), [str(ue.number) for ue in instant.ues], weight="bold")
    for label, ue in zip(axes.get_xticklabels(), instant.ues, strict=True):
        label.set_color(BLOCKER_COLOURS[ue.blocker])
    axes.set_ylabel("dB, an element", color=GREY, fontsize=TINY, labelpad=1)
    if instant.ues:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=TINY, frameon=False, labelcolor=INK,
            borderaxespad=0.1, handletextpad=0.1, columnspacing=0.9,
        )  # fmt: skip
    title(axes, "CSI power over noise", f"×: below {_LOWEST_DB:g} dB")
