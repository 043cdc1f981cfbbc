"""The dataset card in Markdown, written from the set itself: figures from its shards, constants from its makers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.build import PROFILES
from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.layouts import Layout
from models.data.raytraced_set import part_of
from models.data.shards import SCHEMA_VERSION, ShardSet
from models.data.showing.cue_errors import cue_errors
from models.data.showing.frames import Frames, counts
from models.data.showing.look import BLOCKER_NAMES
from models.data.showing.words import known_limits, sensor_models
from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS, LIDAR_COLUMNS, RADAR_COLUMNS
from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.cues import SPEED_OF_LIGHT_MPS

_FAR_M = 5.0  # an error of the distance that is worth a count

# K snapshots, U UEs, M bodies of the cast; `_offset` arrays tell the snapshots of a ragged array apart.
_MEANINGS = {
    "time_s": "[K] since the start of the episode, s",
    "pose": "[K, M, 3] east m, north m, heading counter-clockwise from east, rad",
    "velocity_mps": "[K, M, 2] east, north, m/s",
    "present": "[M] 1 where the body takes part in the episode",
    "ue_body": "[U] body that carries the UE",
    "ue_position_m": "[K, U, 3] antenna in ENU of the mast's foot, m",
    "ue_velocity_mps": "[K, U, 2] east, north, m/s",
    "blocker": "[K, U] what the direct path meets first: " + ", ".join(f"{i} {n}" for i, n in enumerate(BLOCKER_NAMES)),
    "paths": "[K, U] paths found, 0 is an outage",
    "csi_gain": "[K, U, antenna, subcarrier, re/im] clean amplitude gain of the channel",
    "csi_levels": "[K, U, antenna, subcarrier, re/im] the measurement: level of the converter",
    "csi_scale": "[K, U] sqrt(mW) per level",
    "camera": "JPEG files end to end",
    "camera_offset": "[K + 1] first byte of each file",
    "lidar": "[returns, 5] east, north, up m, intensity 0 to 1, ring",
    "lidar_offset": "[K + 1] first return of each sweep",
    "radar": "[detections, 6] time s, east, north, up m, radial speed m/s (positive: away), SNR dB",
    "radar_offset": "[K + 1] first detection of each scan",
}  # fmt: skip


def write_card(path: Path, shards: ShardSet, frames: Frames, layout: Layout, quiet: bool) -> dict[str, object]:
    """Write the card; returns what was written and the counts in it."""
    figures = counts(frames)
    sections = [
        _summary(shards, frames, figures),
        _site(layout),
        _cast(shards, frames),
        _splits(figures),
        _radio(frames, figures),
        _cues(shards, quiet),
        _modalities(frames),
        _arrays(shards),
        _tensors(),
        sensor_models(layout),
        known_limits(shards, layout, float(frames.outage.mean())),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(sections) + "\n")
    return {"path": str(path), "bytes": path.stat().st_size, **figures}


def _summary(shards: ShardSet, frames: Frames, figures: dict[str, object]) -> str:
    settings = shards.settings
    size = sum(shards.path(episode).stat().st_size for episode in shards.episodes())
    profile = next((name for name, p in PROFILES.items() if p.episodes == figures["episodes"]), None)
    made = f"--profile {profile}" if profile else f"--episodes {figures['episodes']}"
    command = f"python -m models.data.build --layout {settings['layout']} {made} --seed {settings['seed']}"
    first, last = np.min(frames.position_m, 0), np.max(frames.position_m, 0)
    return "\n".join(
        [
            f"# Dataset card: ray-traced {settings['layout']}\n",
            f"{figures['episodes']:,} episodes of {settings['snapshots']} snapshots, {settings['period_s']} s apart: "
            f"{figures['snapshots']:,} snapshots, {figures['frames']:,} frames (a frame is one UE at one snapshot). "
            "Each episode has its own traffic, light and paint. Everything is simulated; nothing was measured.\n",
            f"- Fingerprint `{shards.fingerprint}`, schema {SCHEMA_VERSION}; made by `{command}`.",
            f"- {_bytes(size)} on disk, {_bytes(size / frames.snapshots)} a snapshot, one safetensors file an episode.",
            f"- UEs {first[0]:.0f} to {last[0]:.0f} m east and {first[1]:.0f} to {last[1]:.0f} m north of the mast.",
            "- Licence: Apache-2.0; city geometry of sionna-rt from OpenStreetMap, ODbL.\n",
            "`python -m models.data.show --set FOLDER --card FILE` writes this card; no figure in it was typed.",
        ]
    )


def _site(layout: Layout) -> str:
    site = layout.site
    assert site.carrier_hz
    assert site.bandwidth_hz
    spacing_hz = site.bandwidth_hz / CSI_SUBCARRIERS
    step, wrap = (f"{1e9 / hz:g} ns ({SPEED_OF_LIGHT_MPS / hz:.3g} m)" for hz in (site.bandwidth_hz, spacing_hz))
    latitude, longitude, height = site.origin_wgs84
    rows = [
        ("origin (foot of the mast)", f"{latitude}° N, {longitude}° E, {height:g} m"),
        ("mast", f"{site.mast_height_m:g} m high, facing {site.boresight_deg:g}° from north"),
        ("served sector", f"±{layout.sector_deg:g}°, {layout.range_m[0]:g} to {layout.range_m[1]:g} m on the ground"),
        ("carrier, bandwidth", f"{site.carrier_hz / 1e9:g} GHz, {site.bandwidth_hz / 1e6:g} MHz"),
        ("subcarriers", f"{CSI_SUBCARRIERS}, {spacing_hz / 1e6:.4g} MHz apart"),
        ("delay", f"resolved to {step}, wraps after {wrap}"),
        ("array", f"{site.array_rows} × {site.array_cols} elements, half a wavelength apart"),
        ("tasks", ", ".join(site.tasks)),
    ]
    return f"## Site {site.name}\n\n" + _table(("", ""), rows)


def _cast(shards: ShardSet, frames: Frames) -> str:
    cast = [Body(**body) for body in shards.settings["cast"]]
    here = frames.present.mean(0)
    rows = []
    for body, number in Counter(cast).items():
        kind = KINDS[body.kind]
        (low, high), (length, width) = kind.speed_mps, kind.half_extent_m
        share = float(np.mean([p for b, p in zip(cast, here, strict=True) if b == body]))
        height = max(box[5] for box in kind.boxes)
        rows.append((
            body.kind, number, f"{kind.antenna_m[2]:g} m up" if body.carries_ue else "–",
            "parked" if body.parked else f"{low:g} to {high:g} m/s", f"{2 * length:g} × {2 * width:g} × {height:g} m",
            f"{100 * share:.0f} %",
        ))  # fmt: skip
    head = ("kind", "bodies", "UE's antenna", "speed", "size", "present in")
    return f"## Cast of {len(cast)} bodies\n\n" + _table(head, rows)


def _splits(figures: dict[str, object]) -> str:
    groups = {**dict(figures["parts"]), "all": figures}
    rows = [
        (name, group["episodes"], group["frames"],
         *(f"{count:,} ({100 * count / max(1, group['frames']):.1f} %)" for count in group["blockers"].values()),
         group["outages"])
        for name, group in groups.items()
    ]  # fmt: skip
    head = ("part", "episodes", "frames", *BLOCKER_NAMES, "outages")
    return (
        "## Splits\n\n" + _table(head, rows) + "\n\nThe parts are whole episodes, so neither a trajectory nor a scene "
        "capture is in two parts; all parts share the same streets."
    )


def _radio(frames: Frames, figures: dict[str, object]) -> str:
    head = ("", "least", "5 %", "median", "95 %", "most")
    heard = ~frames.outage
    rows: list[tuple[object, ...]] = [("slant range, m", *_five(frames.range_m))]
    for blocker, name in enumerate(BLOCKER_NAMES):
        chosen = heard & (frames.blocker == blocker)
        if chosen.any():
            rows.append((f"received power, {name}, dBm", *_five(frames.power_dbm[chosen])))
    rows.append(("paths of a frame", *_five(frames.paths)))
    share = 100 * float(figures["below_noise"]) / float(figures["frames"])
    text = (
        f"Power per antenna element over the band, without outages. {figures['below_noise']:,} frames ({share:.1f} %), "
        f"outages included, lie below the noise of {frames.noise_dbm:.1f} dBm."
    )
    return "## Range and power\n\n" + _table(head, rows) + "\n\n" + text


def _cues(shards: ShardSet, quiet: bool) -> str:
    test = [episode for episode in shards.episodes() if part_of(episode) == "test"]
    errors = cue_errors(shards, test, quiet)
    far_m = errors["distance_m"]
    if not far_m.size:
        return "## Cues of the CSI\n\nThe test part has no frame with line of sight."
    head = ("", "least", "5 %", "median", "95 %", "most")
    rows = [
        ("distance of the first path, m", *_five(far_m)),
        ("sine of the strongest direction", *_five(errors["sine"], ".3f")),
    ]
    return (
        f"## Cues of the CSI\n\nAbsolute errors over the {far_m.size:,} frames of the test part with line of sight; "
        f"{100 * float((far_m > _FAR_M).mean()):.0f} % of the distances are off by more than {_FAR_M:g} m.\n\n"
        + _table(head, rows)
    )


def _modalities(frames: Frames) -> str:
    size = frames.capture_sizes
    lidar, radar = LIDAR_COLUMNS * size["lidar"], RADAR_COLUMNS * size["radar"]
    values = CSI_ANTENNAS * CSI_SUBCARRIERS
    ues = len(frames.blocker) / frames.snapshots
    rows = [
        ("camera", "JPEG file", _bytes(size["camera"])),
        ("lidar", f"{size['lidar']:,.0f} returns of {LIDAR_COLUMNS} float32", _bytes(4 * lidar)),
        ("radar", f"{size['radar']:,.0f} detections of {RADAR_COLUMNS} float32", _bytes(4 * radar)),
        ("csi, measured", f"{ues:g} UEs, {values:,} complex int8 each", _bytes(2 * values * ues)),
        ("csi, clean", f"{ues:g} UEs, {values:,} complex float32 each", _bytes(8 * values * ues)),
    ]
    return "## Modalities\n\nMeans of a snapshot.\n\n" + _table(("modality", "holds", "size"), rows)


def _arrays(shards: ShardSet) -> str:
    first = shards.episodes()[0]
    arrays = shards.read(first)
    names = [name for name in _MEANINGS if name in arrays] + sorted(set(arrays) - set(_MEANINGS))
    rows = []
    for name in names:
        array = arrays[name]
        rows.append((f"`{name}`", array.dtype, list(array.shape), _bytes(array.nbytes), _MEANINGS.get(name, "–")))
    total = sum(array.nbytes for array in arrays.values())
    return (
        f"## Arrays of a shard\n\nShapes and sizes of episode {first}, {_bytes(total)} in all; ragged ones differ from "
        "episode to episode.\n\n" + _table(("array", "type", "shape", "size", "axes and units"), rows)
    )


def _tensors() -> str:
    rows = [
        (f"`{spec.name}`", spec.dtype, "[" + ", ".join(map(str, spec.shape)) + "]", spec.layout, spec.unit)
        for spec in ENCODE_INPUTS
        if "mask" not in spec.name and "index" not in spec.name
    ]
    head = ("tensor", "type", "shape", "axes", "unit")
    return (
        "## What the networks see of it\n\n`service.normalizers` makes these of the captures, in training and in "
        "serving alike.\n\n" + _table(head, rows)
    )


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def _five(values: NDArray[np.generic], form: str = ".1f") -> list[str]:
    return [format(value, form) for value in np.percentile(values, [0, 5, 50, 95, 100])]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in line) + " |" for line in lines
    )
