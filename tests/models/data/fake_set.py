"""A made-up set in the schema of the ray-traced one: two masts in one city, one in another, and a reserved one.

UEs move straight away from the mast in free space, with one direct and one reflected path each; UE 1 of each first
snapshot is in outage, and UE 2 is away in every odd episode. Everything follows from the seed. Zones are sectors of
azimuth, so that every purpose keeps to its own ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from models.data import splits
from models.data.raytraced.bands import BANDS
from models.data.raytraced.bodies import Body
from models.data.raytraced.layouts import Layout
from models.data.raytraced.zones import MARGIN, NLOS, OFF, OPEN, REGION
from models.data.recipe import CASTS, Recipe, settings
from models.data.schema import Arrays
from models.data.shards import ShardSet
from service.contract.sites import Site
from service.normalizers.cues import aoa_profile, gain
from tests.models.toy import SITE
from tests.service.normalizers.waves import delay_of, plane_wave

PLAN = {"train": 3, "val": 1, "test": 2, "region": 1, "nlos": 1, "empty": 1}
LAYOUTS: dict[str, Layout] = {
    name: Layout(scene, (10.0, 20.0, 0.0), replace(SITE, name=name, boresight_deg=boresight))
    for name, scene, boresight in (
        ("toy", "toytown", 70.0), ("toy-east", "toytown", 200.0), ("other", "othertown", 310.0),
        ("far", "fartown", 30.0),
    )
}  # fmt: skip
SITES: dict[str, Site] = {name: layout.site for name, layout in LAYOUTS.items()}
RESERVED = "far"
CARRIERS_HZ = np.array([band.carrier_hz for band in BANDS])
CLEAR, BUILDING, VEHICLE, PERSON = range(4)  # as in `raytraced.channel`
_AZIMUTH_DEG = {OPEN: (-20.0, 20.0), REGION: (30.0, 50.0), NLOS: (-50.0, -30.0)}
_AMPLITUDE = np.sqrt(10**2.3 / 64)  # 23 dBm over 64 subcarriers, sqrt(mW)
_NOISE = 1e-6  # sqrt(mW)


@dataclass(frozen=True)
class Size:
    """Of an episode."""

    snapshots: int = 2
    ues: int = 2
    others: int = 1  # bodies that carry no UE
    period_s: float = 0.1

    @property
    def cast(self) -> tuple[Body, ...]:
        """Cars and people with a UE in turn, and trucks without."""
        carriers = (Body("car" if ue % 2 == 0 else "person", carries_ue=True) for ue in range(self.ues))
        return (*carriers, *(Body("truck", carries_ue=False) for _ in range(self.others)))


TINY = Size()


@dataclass(frozen=True)
class _Ray:
    """One path of one frame: points from site to UE, the UE's velocity, and the amplitude of the reflection."""

    frame: int
    line_m: NDArray[np.float64]
    velocity_mps: NDArray[np.float64]
    loss: float


def zone_at(mast_m: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Zone of places `[..., 2]` of the mast frame."""
    azimuth = np.degrees(np.arctan2(mast_m[..., 1], mast_m[..., 0]))
    zone = np.full(azimuth.shape, OFF, np.uint8)
    for low, high, value in ((-55, 55, MARGIN), (-25, 25, OPEN), (27, 55, REGION), (-55, -27, NLOS)):
        zone[(azimuth > low) & (azimuth < high)] = value
    return zone


def fake_ground(site: Site) -> Arrays:
    """The ground file of a site: flat, with the zones of `zone_at`."""
    axis = np.arange(-200.0, 200.0) + 0.5
    east, north = np.meshgrid(axis, axis)
    zone = zone_at(site.to_mast(np.stack([east, north], -1)))
    return {
        "height_m": np.zeros(east.shape, np.float32),
        "zone": zone,
        "blocked": (zone == NLOS).astype(np.uint8),
        "west_south_m": np.array([-200.0, -200.0]),
    }


def fake_recipe(sites: tuple[str, ...], plan: Mapping[str, int], size: Size) -> Recipe:
    """The recipe of a fake set; nothing is trained on the site "far"."""
    cast = f"fake of {size.ues} and {size.others}"
    CASTS[cast] = size.cast  # where `Recipe.bodies` looks it up
    reserved = {RESERVED: {"test": 2, "empty": 1}} if RESERVED in sites else {}
    return Recipe("fake", sites, plan, reserved, size.snapshots, size.period_s, seed=1, cast=cast)


def fake_set(
    folder: Path, sites: tuple[str, ...] = ("toy",), plan: Mapping[str, int] = PLAN, size: Size = TINY
) -> ShardSet:
    """Write a whole set into `folder`, by the recipe `fake_recipe`."""
    recipe = fake_recipe(sites, plan, size)
    shards = ShardSet(folder, settings(recipe, LAYOUTS), splits.describe(recipe, LAYOUTS))
    shards.create()
    for number, name in enumerate(sites):
        shards.write_ground(name, fake_ground(SITES[name]))
        for episode, purpose in enumerate(recipe.purposes(name)):
            shards.write(name, episode, fake_episode(SITES[name], purpose, 1000 * number + episode, size))
    return shards


def fake_episode(site: Site, purpose: str, seed: int, size: Size = TINY) -> Arrays:
    """The arrays of one episode; in an empty scene nobody transmits, and UE 2 is away where the seed is odd."""
    rng = np.random.default_rng(seed)
    snapshots, ues, bodies = size.snapshots, size.ues, size.ues + size.others
    there = np.array([purpose != "empty" and not (ue == 2 and seed % 2) for ue in range(ues)], bool)
    time_s = size.period_s * np.arange(snapshots)
    azimuth = np.radians(rng.uniform(*_AZIMUTH_DEG[{"region": REGION, "nlos": NLOS}.get(purpose, OPEN)], bodies))
    speed_mps = rng.uniform(1.0, 12.0, bodies)
    away = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)  # [M, 2], mast frame
    mast_m = (rng.uniform(25, 100, bodies) + time_s[:, None] * speed_mps)[..., None] * away
    enu_m, velocity = site.to_enu(mast_m), np.tile(site.to_enu(speed_mps[:, None] * away), (snapshots, 1, 1))
    heading = np.tile(azimuth + site.boresight_rad, (snapshots, 1))[..., None]
    enu_m[:, :ues][:, ~there] = 0.0
    antenna_m = np.concatenate([enu_m[:, :ues], np.full((snapshots, ues, 1), 1.5)], -1)
    blocker = rng.choice([CLEAR, CLEAR, CLEAR, VEHICLE, PERSON], (snapshots, ues))
    if purpose == "nlos":
        blocker[:] = BUILDING
    box = np.where(((blocker == CLEAR) & there)[..., None], [150, 60, 170, 75], -1)
    rays = _rays(site, antenna_m, velocity, blocker, there)
    arrays: Arrays = {
        "time_s": time_s,
        "pose": np.concatenate([enu_m, heading], -1).astype(np.float32),
        "velocity_mps": velocity.astype(np.float32),
        "present": np.append(there, np.ones(size.others)).astype(np.uint8),
        "ue_body": np.arange(ues, dtype=np.int16),
        "ue_present": there.astype(np.uint8),
        "ue_position_m": antenna_m.astype(np.float32),
        "ue_velocity_mps": velocity[:, :ues].astype(np.float32),
        "blocker": blocker.astype(np.uint8),
        "zone": np.where(there, zone_at(mast_m[:, :ues]), OFF).astype(np.uint8),
        "box_px": box.astype(np.int16),
        "box_share": np.where(box[..., 0] < 0, 0, 20 * 15 / (160 * 320)).astype(np.float32),
        **_paths(rays, snapshots * ues, rng),
        **_scene(site, snapshots, rng),
    }
    reach_m = np.linalg.norm(antenna_m - [0.0, 0.0, site.mast_height_m], axis=-1)
    return arrays | _radio(fake_channels(site, arrays), reach_m, rng)


def fake_channels(site: Site, arrays: Arrays) -> NDArray[np.complex128]:
    """The clean channels `[K, U, B, 32, 64]` that the paths of an episode add up to, one plane wave after the other.

    `plane_wave` has its phase 0 at a corner of the array and between two subcarriers, a shard at the array's centre and
    at subcarrier 32.
    """
    shape, offset = arrays["blocker"].shape, arrays["path_offset"]
    spacing_hz = BANDS[0].spacing_hz
    channels = np.zeros((shape[0] * shape[1], len(CARRIERS_HZ), 32, 64), np.complex128)
    for frame in range(len(channels)):
        for path in range(offset[frame], offset[frame + 1]):
            azimuth, elevation = np.degrees(arrays["path_site_angle"][path] - [site.boresight_rad, 0.0])
            delay_s = float(arrays["path_delay_s"][path])
            left, up = np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation)), np.sin(np.radians(elevation))
            phase = np.pi * (3.5 * left - 1.5 * up + spacing_hz * delay_s)
            wave = plane_wave(azimuth, elevation, delay_s, amplitude=np.exp(1j * phase))
            channels[frame] += (arrays["path_gain"][path] @ [1, 1j])[:, None, None] * wave
    return channels.reshape(*shape, *channels.shape[1:])


def plant_twin(shards: ShardSet) -> None:
    """Put the first terminal of the second snapshot of a test episode 3 cm above a terminal of a training episode."""
    purposes = shards.recipe.purposes("toy")
    train, test = purposes.index("train"), purposes.index("test")
    arrays = shards.read("toy", test)
    arrays["ue_position_m"][1, 0] = shards.read("toy", train)["ue_position_m"][0, 1] + [0.0, 0.0, 0.03]
    shards.write("toy", test, arrays)


def _rays(
    site: Site,
    antenna_m: NDArray[np.float64],
    velocity: NDArray[np.float64],
    blocker: NDArray[np.int64],
    there: NDArray[np.bool_],
) -> list[_Ray]:
    sensor = np.array([0.0, 0.0, site.mast_height_m])
    wall = np.append(site.to_enu(np.array([40.0, 30.0])), 5.0)
    rays = []
    for frame, (k, u) in enumerate(np.ndindex(blocker.shape)):
        if not there[u] or (k, u) == (0, 1):
            continue  # away, or an outage
        if blocker[k, u] == CLEAR:
            rays.append(_Ray(frame, np.array([sensor, antenna_m[k, u]]), velocity[k, u], 1.0))
        rays.append(_Ray(frame, np.array([sensor, wall, antenna_m[k, u]]), velocity[k, u], 0.3))
    return rays


def _paths(rays: list[_Ray], frames: int, rng: np.random.Generator) -> Arrays:
    count, bands = len(rays), len(CARRIERS_HZ)
    frame = np.array([ray.frame for ray in rays], np.int64)
    paths: Arrays = {
        "path_offset": np.searchsorted(frame, np.arange(frames + 1)).astype(np.int64),
        "path_gain": np.zeros((count, bands, 2), np.float32),
        "path_delay_s": np.zeros(count, np.float32),
        "path_site_angle": np.zeros((count, 2), np.float32),
        "path_ue_angle": np.zeros((count, 2), np.float32),
        "path_rate_mps": np.zeros(count, np.float32),
        "path_kind": np.zeros((count, 4), np.uint8),
        "path_vertex_m": np.full((count, 4, 3), np.nan, np.float32),
    }
    for row, ray in enumerate(rays):
        line = ray.line_m
        length_m = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        gains = ray.loss * 3e8 / CARRIERS_HZ / (4 * np.pi * length_m) * np.exp(1j * rng.uniform(0, 7, bands))
        back = (line[-2] - line[-1]) / np.linalg.norm(line[-2] - line[-1])
        paths["path_gain"][row] = np.stack([gains.real, gains.imag], -1)
        paths["path_delay_s"][row] = delay_of(length_m)
        paths["path_site_angle"][row] = _angles(line[1] - line[0])
        paths["path_ue_angle"][row] = _angles(back)
        paths["path_rate_mps"][row] = -ray.velocity_mps @ back[:2]
        paths["path_kind"][row, : len(line) - 2] = 1
        paths["path_vertex_m"][row, : len(line) - 2] = line[1:-1]
    return paths


def _angles(away: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.arctan2(away[1], away[0])), float(np.arctan2(away[2], np.hypot(away[0], away[1])))


def _radio(channels: NDArray[np.complex128], reach_m: NDArray[np.float64], rng: np.random.Generator) -> Arrays:
    """What an 8-bit receiver makes of the channels `[K, U, B, 32, 64]`."""
    heard = _AMPLITUDE * channels * np.exp(1j * rng.uniform(0, 7, (*channels.shape[:3], 1, 1)))
    parts = np.stack([heard.real, heard.imag], -1) + _NOISE * rng.standard_normal((*channels.shape, 2))
    scale = np.abs(parts).max((-3, -2, -1)) / 127
    levels = np.rint(parts / scale[..., None, None, None])
    csi = (levels @ [1, 1j] * scale[..., None, None]).astype(np.complex64).reshape(-1, 32, 64)
    lead = channels.shape[:3]
    distance_m = reach_m[..., None] + rng.normal(0, 1, lead)
    return {
        "csi_levels": levels.astype(np.int8),
        "csi_scale": scale.astype(np.float32),
        "aoa_profile": aoa_profile(csi).reshape(*lead, 64).astype(np.float16),
        "distance_m": np.where(np.abs(channels).max((-2, -1)) > 0, distance_m, np.nan).astype(np.float32),
        "gain_db": (30 * gain(csi) - 90).reshape(lead).astype(np.float32),
    }


def _scene(site: Site, snapshots: int, rng: np.random.Generator) -> Arrays:
    pictures = rng.integers(0, 256, (snapshots, 10, 20, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    files = [np.frombuffer(simplejpeg.encode_jpeg(picture), np.uint8) for picture in pictures]
    azimuth, reach = np.radians(rng.uniform(-50, 50, (snapshots, 6))), rng.uniform(20, 150, (snapshots, 6))
    mast = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth)], -1).reshape(-1, 2)
    radar = np.column_stack([
        rng.uniform(0, 0.1, len(mast)), site.to_enu(mast), rng.uniform(0, 3, len(mast)), rng.normal(0, 5, len(mast)),
        rng.uniform(10, 40, len(mast)),
    ])  # fmt: skip
    return {
        "camera": np.concatenate(files),
        "camera_offset": np.cumsum([0] + [len(file) for file in files], dtype=np.int64),
        "lidar_range": rng.choice([0, 5000, 20_000, 40_000], (snapshots, 44, 256)).astype(np.uint16),
        "lidar_intensity": rng.integers(0, 256, (snapshots, 44, 256), dtype=np.uint8),
        "radar": radar.astype(np.float32),
        "radar_offset": 6 * np.arange(snapshots + 1, dtype=np.int64),
        "radar_range_azimuth": rng.integers(0, 60, (snapshots, 16, 12), dtype=np.uint8),
        "radar_range_doppler": rng.integers(0, 60, (snapshots, 16, 9), dtype=np.uint8),
    }
