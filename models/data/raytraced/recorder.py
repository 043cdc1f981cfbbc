"""Record episodes: drive the traffic through the world and let every sensor look at each snapshot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced import zones
from models.data.raytraced.bands import BANDS
from models.data.raytraced.channel import ChannelSolver
from models.data.raytraced.frontend import measure, round_trip_m
from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.optics import CameraFrame, Light, camera_frame, lidar_sweep
from models.data.raytraced.paths import Paths, synthesise
from models.data.raytraced.radar import RadarScan, radar_scan
from models.data.raytraced.survey import survey
from models.data.raytraced.traffic import Episode, simulate
from models.data.raytraced.world import World
from models.data.recipe import Recipe
from models.data.schema import Arrays
from service.normalizers.cues import aoa_profile

_ZONE = {"train": zones.OPEN, "val": zones.OPEN, "test": zones.OPEN, "region": zones.REGION, "nlos": zones.NLOS}


class Recorder:
    """Makes the shards of one site. One recorder serves any number of episodes, in any order.

    Args:
        site: name in `LAYOUTS`.
    """

    def __init__(self, site: str, recipe: Recipe) -> None:
        self._site, self._recipe = site, recipe
        self._layout = LAYOUTS[site]
        self._cast = recipe.bodies
        self._carriers = [i for i, body in enumerate(self._cast) if body.carries_ue]
        self._time_s = np.arange(recipe.snapshots) * recipe.period_s
        self._stream = list(LAYOUTS).index(site)  # keeps the random numbers of two sites apart
        self.world = World(self._layout, self._cast)
        self.streets = survey(self.world, recipe.seed)
        self._solver = ChannelSolver(self.world)

    def ground(self) -> Arrays:
        """The site's ground, as `models.data.shards.GROUND` has it."""
        return {
            "height_m": self.streets.height_m.astype(np.float32),
            "zone": self.streets.zone,
            "blocked": self.streets.blocked.astype(np.uint8),
            "west_south_m": np.array(self.streets.west_south_m, np.float64),
        }

    def record(self, episode: int) -> Arrays:
        """Arrays of one episode, as `models.data.schema` has them."""
        key = [self._recipe.seed, self._stream, episode]
        traffic_rng, light_rng, sensor_rng, radio_rng = (np.random.default_rng([*key, stream]) for stream in range(4))
        purpose = self._recipe.purpose(self._site, episode)
        traffic = simulate(self._cast, self.streets, _ZONE.get(purpose), self._time_s, traffic_rng)
        light = Light.draw(len(self._cast), light_rng)
        cameras, lidars, radars, paths = [], [], [], []
        there = traffic.present[self._carriers]
        blocker = np.zeros((len(self._time_s), len(self._carriers)), np.uint8)
        for k in range(len(self._time_s)):
            ground_m = self.streets.ground_at(traffic.pose[k, :, :2])
            self.world.place(traffic.pose[k], ground_m, traffic.present)
            cameras.append(camera_frame(self.world, light, sensor_rng))
            lidars.append(lidar_sweep(self.world, sensor_rng))
            radars.append(radar_scan(self.world, traffic.velocity_mps[k], sensor_rng))
            velocity = traffic.velocity_mps[k]
            links, blocker[k] = self._solver.solve(traffic.antenna_m[k], there, velocity[self._carriers], velocity)
            paths.append(links)
        return {
            "time_s": self._time_s,
            **self._truth(traffic, blocker, cameras),
            **self._radio(Paths.joined(paths), radio_rng),
            **_scenes(cameras, lidars, radars),
        }

    def _truth(self, traffic: Episode, blocker: NDArray[np.uint8], cameras: list[CameraFrame]) -> Arrays:
        flat = traffic.antenna_m[..., :2].reshape(-1, 2)
        return {
            "pose": traffic.pose.astype(np.float32),
            "velocity_mps": traffic.velocity_mps.astype(np.float32),
            "present": traffic.present.astype(np.uint8),
            "ue_body": np.array(self._carriers, np.int16),
            "ue_present": traffic.present[self._carriers].astype(np.uint8),
            "ue_position_m": traffic.antenna_m.astype(np.float32),
            "ue_velocity_mps": traffic.velocity_mps[:, self._carriers].astype(np.float32),
            "blocker": blocker,
            "zone": self.streets.at(self.streets.zone, flat).reshape(blocker.shape),
            "box_px": np.stack([frame.box_px[self._carriers] for frame in cameras]),
            "box_share": np.stack([frame.share[self._carriers] for frame in cameras]),
        }

    def _radio(self, paths: Paths, rng: np.random.Generator) -> Arrays:
        site = self._layout.site
        shape = (len(self._time_s), len(self._carriers))
        columns: dict[str, list[NDArray[np.generic]]] = {
            name: [] for name in ("csi_levels", "csi_scale", "aoa_profile", "distance_m", "gain_db")
        }
        for index, band in enumerate(BANDS):
            measured = measure(synthesise(paths, index, band.bandwidth_hz, site), band, rng)
            csi = measured.csi()
            columns["csi_levels"].append(measured.levels)
            columns["csi_scale"].append(measured.scale)
            columns["aoa_profile"].append(aoa_profile(csi).astype(np.float16))
            columns["distance_m"].append(round_trip_m(paths, index, band, rng))
            columns["gain_db"].append((10 * np.log10((np.abs(csi) ** 2).mean((1, 2)))).astype(np.float32))
        stacked = {name: np.stack(parts, 1) for name, parts in columns.items()}
        return paths.columns() | {name: a.reshape(*shape, *a.shape[1:]) for name, a in stacked.items()}


def _scenes(
    cameras: list[CameraFrame],
    lidars: list[tuple[NDArray[np.uint16], NDArray[np.uint8]]],
    radars: list[RadarScan],
) -> Arrays:
    files = [np.frombuffer(frame.jpeg, np.uint8) for frame in cameras]
    detections = [scan.detections for scan in radars]
    return {
        "camera": np.concatenate(files),
        "camera_offset": _offsets(files),
        "lidar_range": np.stack([steps for steps, _ in lidars]),
        "lidar_intensity": np.stack([intensity for _, intensity in lidars]),
        "radar": np.concatenate(detections),
        "radar_offset": _offsets(detections),
        "radar_range_azimuth": np.stack([scan.range_azimuth for scan in radars]),
        "radar_range_doppler": np.stack([scan.range_doppler for scan in radars]),
    }


def _offsets(parts: list[NDArray[np.generic]]) -> NDArray[np.int64]:
    return np.cumsum([0] + [len(part) for part in parts], dtype=np.int64)
