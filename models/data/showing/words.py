"""How a set was made and what it does not show, in words; every number comes from the module that uses it."""

from __future__ import annotations

import numpy as np

from models.data.raytraced.bodies import KINDS
from models.data.raytraced.frontend import ADC_LEVELS, LIGHT_MPS, TIMING_OFFSET_S, TX_POWER_DBM
from models.data.raytraced.lidar_image import COLUMNS, HFOV_DEG, RINGS, STEP_M
from models.data.raytraced.paths import DELAY_WINDOW_S
from models.data.recipe import PURPOSES
from models.data.shards import ShardSet
from models.data.showing.frames import Frames
from models.data.showing.markdown import percent
from service.contract.sites import Site
from service.normalizers.polar import BINS


def sensor_models(shards: ShardSet, frames: Frames) -> str:
    """Section with a few sentences on each sensor. Imports the ray tracer, which holds some of the constants."""
    from models.data.raytraced import channel, optics, radar, radar_cube, radar_echoes, world

    sites = [shards.site(name) for name in frames.sites]
    lines = [
        "**Channel.** sionna-rt traces every link once and works its field out at each band: specular reflection and "
        f"first-order diffraction with up to {channel.MAX_DEPTH} interactions ({channel.SAMPLES:,} rays); where the "
        f"direct path is blocked, also scattering from rough walls with up to {channel.DIFFUSE_DEPTH} "
        f"({channel.DIFFUSE_SAMPLES:,} rays, the {channel.DIFFUSE_MOST} strongest paths, scattering coefficient "
        f"{world.SCATTERING:g}, Lambertian). No refraction. The site's elements follow TR 38.901, UEs are isotropic; "
        "vertical polarisation. Array and subcarriers are synthesised from the paths as plane waves; the channel "
        "stands still within a frame.",
        f"**Receiver.** A UE sends {TX_POWER_DBM:g} dBm, evenly over the subcarriers. Thermal noise with the band's "
        f"noise figure, a random common phase, a timing error of {1e9 * TIMING_OFFSET_S:g} ns standard deviation, and "
        f"a converter of {ADC_LEVELS} levels a sign, full scale at the frame's largest part. Paths later than "
        f"{1e9 * DELAY_WINDOW_S:g} ns ({LIGHT_MPS * DELAY_WINDOW_S:.0f} m) are cut by the channel estimator.",
        "**AoA profile and gain.** Beamspace spectrum of the measured CSI over 64 directions, its peak at 1; measured "
        "power per antenna and subcarrier in dBm, noise included.",
        "**Distance.** Round-trip time of the first detected path in metres: multipath within one over the bandwidth "
        "pulls it, its error is that of the Cramér–Rao bound and of the calibration; NaN where no path is detected.",
        f"**Camera.** {optics.CAMERA_COLS} × {optics.CAMERA_ROWS} pixels, {optics.CAMERA_HFOV_DEG:g}° wide, tilted "
        f"{-optics.CAMERA_PITCH_DEG:g}° down; ray-cast with sun, shadows, sky light, haze, drawn walls, shot and read "
        "noise, exposure that varies by episode; JPEG. A UE's box holds what can be seen of its body.",
        f"**LiDAR.** {RINGS} rings of {COLUMNS} rays over {HFOV_DEG:g}°, all below the horizon and evenly spaced on "
        f"flat ground; ranges in steps of {1e3 * STEP_M:g} mm with {100 * optics.LIDAR_NOISE_M:g} cm noise, "
        f"{100 * optics.LIDAR_DROPOUT:g} % of the returns lost, none beyond {_range(sites)} m.",
        f"**Radar.** Monostatic FMCW at {radar_echoes.CARRIER_HZ / 1e9:g} GHz, the radar equation over ray-cast "
        f"patches of surface (constant-gamma clutter, Rayleigh fading): {radar_echoes.TX_POWER_DBM:g} dBm, antennas of "
        f"{radar_echoes.TX_GAIN_DBI:g} and {radar_echoes.RX_GAIN_DBI:g} dBi, noise figure "
        f"{radar_echoes.NOISE_FIGURE_DB:g} dB, losses {radar_echoes.LOSS_DB:g} dB, {radar_echoes.SWEEPS} sweeps, "
        f"{radar_echoes.ELEMENTS} elements, field ±{radar_echoes.HALF_FIELD_DEG:g}°. Cells of {radar_cube.RANGE_M:g} "
        f"m, {radar_cube.DOPPLER_MPS:g} m/s and {2 / radar_cube.AZIMUTHS:.3g} in sin(azimuth) cos(elevation), Hann "
        f"windows. Nothing nearer than {radar_echoes.BLANK_M:g} m. Detections: peaks that noise alone passes once in "
        f"{1 / radar.FALSE_ALARM:,.0f} cells, at most {radar.MOST_DETECTIONS}; if the list is full, what is faster "
        f"than {radar.MOVING_MPS:g} m/s goes first. Maps in steps of {radar.MAP_STEP_DB:g} dB over noise.",
    ]  # fmt: skip
    return "## Sensor models\n\n" + "\n".join(f"- {line}" for line in lines)


def known_limits(shards: ShardSet, frames: Frames) -> str:
    """Section on what the set does not show."""
    scenes = {str(dict(shards.settings["layouts"][name])["scene"]) for name in frames.sites}
    carriers = {str(body["kind"]) for body in shards.settings["cast"] if body["carries_ue"]}
    per_site = [int(frames.episodes[frames.episodes[:, 0] == s, 2].sum()) for s in range(len(frames.sites))]
    site = shards.site(frames.sites[0])
    lines = [
        f"{len(frames.sites)} sectors of {len(scenes)} cities ({', '.join(sorted(scenes))}), with "
        f"{' to '.join(f'{n:,}' for n in sorted({min(per_site), max(per_site)}))} snapshots each. Test trajectories of "
        "`held-out-trajectories` run on the streets of the training ones: unseen ground is what `unseen-region`, "
        "`unseen-nlos`, `unseen-site` and `unseen-city` are for.",
        f"Line of sight differs by purpose, because the ground does: {_sight(frames)}.",
        "Materials are those of the scenes, one for all walls of a kind; the ground is smooth; no trees, no street "
        "furniture, no rain, no interference from other cells, one UE antenna.",
        "Bodies are boxes of one material: no wheels, limbs or glass, no micro-Doppler. Pedestrians glide; vehicles "
        "know no lanes and no lights.",
        f"An episode lasts {shards.recipe.snapshots * shards.recipe.period_s:g} s, so a track is short; UEs ride on "
        f"{', '.join(sorted(carriers))} with antennas {_heights(carriers)} m up.",
        f"Within the first range bin of the LiDAR and radar planes ({site.range_max_m / BINS:g} m) lies the roof that "
        "the sensors stand on.",
        f"{percent(frames.outage, 2)} of the frames have no path at all, and {percent(frames.late, 2)} only paths "
        f"longer than the {LIGHT_MPS * DELAY_WINDOW_S:.0f} m of the estimator's window: their CSI is noise, and they "
        "are kept.",
    ]
    return "## Known limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _range(sites: list[Site]) -> str:
    return " or ".join(sorted({f"{site.range_max_m:g}" for site in sites}))


def _heights(carriers: set[str]) -> str:
    corners = np.array([KINDS[name].antenna_m for name in carriers])[..., 2]
    return f"{corners.min():g} to {corners.max():g}"


def _sight(frames: Frames) -> str:
    clear = {name: frames.blocker[frames.purpose == PURPOSES.index(name)] == 0 for name in ("train", "region", "nlos")}
    return ", ".join(f"{name} {percent(flags)}" for name, flags in clear.items())
