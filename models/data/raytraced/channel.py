"""Radio channels: paths from sionna-rt, the clean CSI that they add up to, and what blocks the direct one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sionna.rt as rt
from numpy.typing import NDArray

from models.data.raytraced.world import CITY, World
from service.contract.captures import CSI_SUBCARRIERS
from service.contract.sites import Site

MAX_DEPTH = 4  # reflections and diffractions of a path
SAMPLES = 100_000  # rays shot from the base station
CLEAR, BUILDING, VEHICLE, PERSON = range(4)  # what the direct path meets first


@dataclass(frozen=True)
class Channels:
    """What the radio sees of U UEs at one snapshot.

    Attributes:
        csi: complex64 `[U, 32, 64]` amplitude gain from UE to array element, at each subcarrier.
        paths: int16 `[U]` number of paths found; 0 is an outage.
        blocker: uint8 `[U]` `CLEAR`, `BUILDING`, `VEHICLE` or `PERSON`; line of sight is `CLEAR`.
    """

    csi: NDArray[np.complex64]
    paths: NDArray[np.int16]
    blocker: NDArray[np.uint8]


class ChannelSolver:
    """Traces the channels between a site's array and the UEs of its world."""

    def __init__(self, world: World, ues: int) -> None:
        site = world.layout.site
        if not (site.carrier_hz and site.bandwidth_hz and site.array_rows and site.array_cols):
            raise ValueError(f"{site.name}: expected a site with carrier, bandwidth and array, got one without")
        self._world = world
        self._ues = ues
        scene = world.scene
        scene.frequency = site.carrier_hz
        scene.bandwidth = site.bandwidth_hz
        scene.tx_array = rt.PlanarArray(
            num_rows=site.array_rows, num_cols=site.array_cols, vertical_spacing=0.5, horizontal_spacing=0.5,
            pattern="tr38901", polarization="V",
        )  # fmt: skip
        scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
        mast = [float(v) for v in world.layout.sensor_m]
        scene.add(rt.Transmitter("site", position=mast, orientation=[site.boresight_rad, 0.0, 0.0]))
        for index in range(ues):
            scene.add(rt.Receiver(f"ue-{index}", position=[0.0, 0.0, 1.5]))
        self._order = _element_order(scene.tx_array, site)
        self._offsets_hz = rt.subcarrier_frequencies(CSI_SUBCARRIERS, site.bandwidth_hz / CSI_SUBCARRIERS)
        self._solver = rt.PathSolver()

    def solve(self, antenna_m: NDArray[np.float64], seed: int) -> Channels:
        """Channels to UEs whose antennas are at `antenna_m` `[U, 3]`, ENU.

        The link is reciprocal, so the downlink is traced and read as the uplink. Specular reflection and first-order
        diffraction with depth `MAX_DEPTH`; no diffuse scattering.
        """
        where = self._world.layout.to_scene(antenna_m)
        for index, point in enumerate(where):
            self._world.scene.receivers[f"ue-{index}"].position = [float(v) for v in point]
        paths = self._solver(
            self._world.scene, max_depth=MAX_DEPTH, samples_per_src=SAMPLES, los=True, specular_reflection=True,
            diffuse_reflection=False, refraction=False, diffraction=True, synthetic_array=True, seed=seed,
        )  # fmt: skip
        gain = paths.cfr(frequencies=self._offsets_hz, normalize_delays=False, out_type="numpy")
        csi = gain[:, 0, 0, :, 0, :][:, self._order]  # [U, 32, 64]
        found = np.array(paths.valid).reshape(self._ues, -1).sum(1)
        return Channels(csi.astype(np.complex64), found.astype(np.int16), self._blockers(where))

    def _blockers(self, where: NDArray[np.float64]) -> NDArray[np.uint8]:
        sensor = self._world.layout.sensor_m
        away = where - sensor
        distance = np.linalg.norm(away, axis=1)
        hits = self._world.cast(sensor, away / distance[:, None])
        met = hits.distance_m < distance - 1e-3
        kinds = np.array([PERSON if body.kind == "person" else VEHICLE for body in self._world.bodies])
        first = np.where(hits.body == CITY, BUILDING, kinds[np.maximum(hits.body, 0)])
        return np.where(met, first, CLEAR).astype(np.uint8)


def _element_order(array: rt.PlanarArray, site: Site) -> NDArray[np.int64]:
    """Order that sorts sionna's elements to row 0 lowest, column 0 leftmost (see `contract.captures.CSI_ANTENNAS`)."""
    # Positions in the array's own y-z plane; y points left of the boresight.
    y, z = (np.array(getattr(array.normalized_positions, axis)) for axis in "yz")
    return np.lexsort((-np.round(y, 6), np.round(z, 6)))
