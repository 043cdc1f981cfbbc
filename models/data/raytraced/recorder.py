"""Record episodes: drive the traffic through the world and let every sensor look at each snapshot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import Body
from models.data.raytraced.channel import ChannelSolver
from models.data.raytraced.frontend import measure
from models.data.raytraced.layouts import Layout
from models.data.raytraced.optics import Light, camera_jpeg, lidar_sweep
from models.data.raytraced.radar import radar_scan
from models.data.raytraced.streets import GRID_M, Streets, streets_of
from models.data.raytraced.traffic import simulate
from models.data.raytraced.world import World
from models.data.shards import Arrays, ragged

_MARGIN_M = 20.0  # of the height map around the served sector


class Recorder:
    """Makes the arrays of an episode. One recorder serves any number of episodes, in any order."""

    def __init__(self, layout: Layout, cast: tuple[Body, ...], snapshots: int, period_s: float, seed: int) -> None:
        self._layout, self._cast, self._seed = layout, cast, seed
        self._time_s = np.arange(snapshots) * period_s
        self.world = World(layout, cast)
        self.streets = survey(self.world)
        self._solver = ChannelSolver(self.world, sum(body.carries_ue for body in cast))

    def record(self, episode: int) -> Arrays:
        """Arrays of one episode of K snapshots, U UEs and M bodies; units and frames as in `service.contract`.

        `csi_gain` is the clean channel (float32 `[K, U, 32, 64, 2]`, real and imaginary), `csi_levels` and `csi_scale`
        what the receiver measured of it (see `frontend.Measured`).
        """
        traffic_rng, light_rng, sensor_rng, radio_rng = (
            np.random.default_rng([self._seed, episode, stream]) for stream in range(4)
        )
        traffic = simulate(self._cast, self.streets, self._time_s, traffic_rng)
        light = Light.draw(len(self._cast), light_rng)
        antenna = traffic.antenna_m(self._cast)
        carriers = [i for i, body in enumerate(self._cast) if body.carries_ue]
        cameras, lidars, radars, channels = [], [], [], []
        for k in range(len(self._time_s)):
            self.world.place(traffic.pose[k], traffic.present)
            cameras.append(np.frombuffer(camera_jpeg(self.world, light, sensor_rng), np.uint8))
            lidars.append(lidar_sweep(self.world, sensor_rng))
            radars.append(radar_scan(self.world, traffic.velocity_mps[k], sensor_rng))
            channels.append(self._solver.solve(antenna[k], seed=1 + episode * len(self._time_s) + k))
        gain = np.stack([c.csi for c in channels])
        bandwidth_hz = self._layout.site.bandwidth_hz
        assert bandwidth_hz
        measured = measure(gain, bandwidth_hz, radio_rng)
        arrays: dict[str, NDArray[np.generic]] = {
            "time_s": self._time_s,
            "pose": traffic.pose.astype(np.float32),
            "velocity_mps": traffic.velocity_mps.astype(np.float32),
            "present": traffic.present.astype(np.uint8),
            "ue_body": np.array(carriers, np.int16),
            "ue_position_m": antenna.astype(np.float32),
            "ue_velocity_mps": traffic.velocity_mps[:, carriers].astype(np.float32),
            "blocker": np.stack([c.blocker for c in channels]),
            "paths": np.stack([c.paths for c in channels]),
            "csi_gain": gain.view(np.float32).reshape(*gain.shape, 2),
            "csi_levels": measured.levels,
            "csi_scale": measured.scale,
        }
        for name, parts in (("camera", cameras), ("lidar", lidars), ("radar", radars)):
            arrays[name], arrays[f"{name}_offset"] = ragged(parts)
        return arrays


def survey(world: World) -> Streets:
    """Height map and free ground of the world's sector, by rays from above, with every body away."""
    layout = world.layout
    world.place(np.zeros((len(world.bodies), 3)), np.zeros(len(world.bodies), bool))
    half = np.ceil(layout.range_m[1] + _MARGIN_M)
    axis = np.arange(-half, half, GRID_M) + GRID_M / 2
    x, y = np.meshgrid(axis, axis)
    above = 300.0
    top = layout.to_scene(np.stack([x.ravel(), y.ravel(), np.full(x.size, above)], 1))
    hits = world.cast(top, np.broadcast_to([0.0, 0.0, -1.0], top.shape))
    height = (above - hits.distance_m).reshape(x.shape)
    street = (layout.street_m[0] - layout.mast_m[0], layout.street_m[1] - layout.mast_m[1])
    return streets_of(height, (-half, -half), street, layout.site.boresight_rad, layout.sector_deg, layout.range_m)
