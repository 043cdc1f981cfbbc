"""How a set was made and what it does not show, in words; every number comes from the module that uses it."""

from __future__ import annotations

import numpy as np

from models.data.raytraced import optics, radar
from models.data.raytraced.bodies import KINDS
from models.data.raytraced.channel import MAX_DEPTH, SAMPLES
from models.data.raytraced.frontend import ADC_LEVELS, NOISE_FIGURE_DB, TIMING_OFFSET_S, TX_POWER_DBM, noise_dbm
from models.data.raytraced.layouts import Layout
from models.data.shards import ShardSet
from service.contract.captures import CSI_SUBCARRIERS
from service.contract.sites import Site
from service.normalizers.cues import SPEED_OF_LIGHT_MPS
from service.normalizers.polar import BINS


def sensor_models(layout: Layout) -> str:
    """Section with a sentence or two on each sensor."""
    site = layout.site
    assert site.bandwidth_hz
    noise = noise_dbm(site.bandwidth_hz, CSI_SUBCARRIERS)
    lines = [
        f"**Channel.** sionna-rt traces specular reflection and first-order diffraction to depth {MAX_DEPTH} from "
        f"{SAMPLES:,} rays, without diffuse scattering or refraction; elements after TR 38.901, isotropic UE antennas, "
        "vertical polarisation, no Doppler within a frame.",
        f"**Receiver.** A UE sends {TX_POWER_DBM:g} dBm over the band. Noise figure {NOISE_FIGURE_DB:g} dB "
        f"({noise:.1f} dBm a subcarrier), a random common phase, a timing error of {1e9 * TIMING_OFFSET_S:g} ns "
        f"standard deviation, and a converter of {ADC_LEVELS} levels a sign, full scale at the frame's largest part.",
        f"**Camera.** {optics.CAMERA_COLS} × {optics.CAMERA_ROWS} pixels, {optics.CAMERA_HFOV_DEG:g}° wide, tilted "
        f"{-optics.CAMERA_PITCH_DEG:g}° down; ray-cast with sun, shadows, sky light, haze, drawn walls, shot and read "
        "noise; JPEG.",
        f"**LiDAR.** {optics.LIDAR_RINGS} rings of {optics.LIDAR_COLS} rays over {optics.LIDAR_HFOV_DEG:g}°, all below "
        f"the horizon and evenly spaced on flat ground; range noise {100 * optics.LIDAR_NOISE_M:g} cm, "
        f"{100 * optics.LIDAR_DROPOUT:g} % of the returns lost, none beyond {site.range_max_m:g} m.",
        f"**Radar.** {radar.RINGS} × {radar.COLS} rays over {radar.HFOV_DEG:g}°; echoes add up in cells of "
        f"{radar.RANGE_M:g} m, {radar.HFOV_DEG / radar.AZIMUTH_CELLS:.2f}° and {radar.DOPPLER_MPS:g} m/s. "
        f"Exponential noise, threshold {radar.THRESHOLD_DB:g} dB, at most {radar.MOST_DETECTIONS} detections: those "
        f"faster than {radar.MOVING_MPS:g} m/s first, then the strongest. Speed ends at "
        f"±{site.velocity_max_mps:g} m/s.",
    ]
    return "## Sensor models\n\n" + "\n".join(f"- {line}" for line in lines)


def known_limits(shards: ShardSet, layout: Layout, outages: float) -> str:
    """Section on what the set does not show; `outages` is the share of frames without any path."""
    site = layout.site
    assert site.bandwidth_hz
    wrap_m = SPEED_OF_LIGHT_MPS * CSI_SUBCARRIERS / site.bandwidth_hz
    carriers = {str(body["kind"]) for body in shards.settings["cast"] if body["carries_ue"]}
    lines = [
        "One sector of one city at one carrier; the ground is flat. Test trajectories run on the streets of the "
        "training ones: this is the in-distribution split, unseen streets are not claimed.",
        f"Paths longer than {wrap_m:.0f} m wrap in delay, so an echo from across the street can appear before the "
        "direct path.",
        *_roof_antennas(carriers),
        "Bodies are boxes: no wheels, limbs or glass. Pedestrians glide; vehicles know no lanes and no lights.",
        f"Within the first range bin ({site.range_max_m / BINS:g} m), that is on the roof that the sensors stand on, "
        f"lie {_first_bin(shards, site)}.",
        f"{100 * outages:.2f} % of the frames have no path at all: their measurement is noise.",
        f"A UE's height is one of {len({KINDS[name].antenna_m[2] for name in carriers})} values, by its kind.",
    ]
    return "## Known limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _roof_antennas(carriers: set[str]) -> list[str]:
    lifts_m = {name: KINDS[name].antenna_m[2] - max(box[5] for box in KINDS[name].boxes) for name in sorted(carriers)}
    above = [f"{lift_m:.1f} m above the flat metal roof of a {name}" for name, lift_m in lifts_m.items() if lift_m > 0]
    if not above:
        return []
    return [
        f"UEs ride {' or '.join(above)}: its mirror image gives all of them the same fringes of received power over "
        "elevation, and so over range."
    ]


def _first_bin(shards: ShardSet, site: Site) -> str:
    """How much of LiDAR and radar lies within the first range bin, in the first episode."""
    arrays = shards.read(shards.episodes()[0], ["lidar", "radar"])
    sensor = [0.0, 0.0, site.mast_height_m]
    shares = []
    for name, columns, what in (("lidar", slice(0, 3), "LiDAR returns"), ("radar", slice(1, 4), "radar detections")):
        near = np.linalg.norm(arrays[name][:, columns] - sensor, axis=1) < site.range_max_m / BINS
        shares.append(f"{100 * float(near.mean()):.1f} % of the {what}")
    return " and ".join(shares)
