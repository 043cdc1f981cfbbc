"""Radio channels: paths from sionna-rt at every band, and what blocks the direct one."""

from __future__ import annotations

from dataclasses import dataclass

import drjit as dr
import mitsuba as mi
import numpy as np
import sionna.rt as rt
from numpy.typing import NDArray
from sionna.rt.constants import InteractionType
from sionna.rt.path_solvers.paths_buffer import PathsBuffer

from models.data.raytraced.bands import BANDS
from models.data.raytraced.paths import Paths
from models.data.raytraced.world import CITY, World

MAX_DEPTH = 4  # interactions of a specular or diffracted path
SAMPLES = 100_000  # rays shot from the base station for those
DIFFUSE_DEPTH = 2
DIFFUSE_SAMPLES = 10_000
DIFFUSE_MOST = 96  # scattered paths that a link keeps, the strongest
SEED = 1  # of the rays: always the same, so that walls scatter from the same places in every snapshot
CLEAR, BUILDING, VEHICLE, PERSON = range(4)  # what the direct path meets first


class ChannelSolver:
    """Traces the channels between a site's array and the UEs of its world.

    The geometry of the paths is found once and their fields are worked out at every carrier: that takes the stages of
    `rt.PathSolver` one by one, which sionna-rt does not promise to keep; its version is pinned, and a test compares
    with the solver's own result at each carrier.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        scene = world.scene
        # One element stands for the array, whose others are synthesised from the paths' angles (`paths.synthesise`).
        scene.tx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="tr38901", polarization="V")
        scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
        mast = [float(v) for v in world.layout.sensor_m]
        scene.add(rt.Transmitter("site", position=mast, orientation=[world.layout.site.boresight_rad, 0.0, 0.0]))
        self._solver = rt.PathSolver()

    def solve(
        self,
        antenna_m: NDArray[np.float64],
        there: NDArray[np.bool_],
        velocity_mps: NDArray[np.float64],
        body_velocity_mps: NDArray[np.float64],
    ) -> tuple[Paths, NDArray[np.uint8]]:
        """Paths to U UEs, one link each, at every band, and what blocks the direct ones, uint8 `[U]`.

        The link is reciprocal, so the downlink is traced and read as the uplink. Specular reflection and first-order
        diffraction with depth `MAX_DEPTH`; where the direct path is blocked, also scattering from rough walls. (In
        line of sight scattering adds 1 % to the power; behind buildings at 28 GHz it is often most of it.)

        Args:
            antenna_m: `[U, 3]` ENU.
            there: bool `[U]`; a UE that is not has no paths.
            velocity_mps: `[U, 2]` of the UEs; `body_velocity_mps` `[bodies, 2]` of what may reflect, east and north.
        """
        blocker = self._blockers(antenna_m)
        velocities = velocity_mps, np.vstack([body_velocity_mps, [0.0, 0.0]])  # the city, -1, stands still
        hidden = there & (blocker != CLEAR)
        found = [
            self._trace(antenna_m, np.flatnonzero(links), velocities, diffuse) if links.any() else _Traced.none()
            for links, diffuse in ((there, False), (hidden, True))
        ]
        owner = np.concatenate([part.owner for part in found])
        paths = [np.concatenate(columns) for columns in zip(*(part.columns for part in found), strict=True)]
        order = np.lexsort((paths[1], owner))  # by link, then by delay
        counts = np.bincount(owner, minlength=len(antenna_m))
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Paths(offset, *(column[order] for column in paths)), blocker

    def _blockers(self, antenna_m: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What the direct path to each of `antenna_m` `[U, 3]` (ENU) meets first, uint8 `[U]`."""
        sensor = self._world.layout.sensor_m
        away = self._world.layout.to_scene(antenna_m) - sensor
        distance = np.linalg.norm(away, axis=1)
        hits = self._world.cast(sensor, away / distance[:, None])
        met = hits.distance_m < distance - 1e-3
        kinds = np.array([PERSON if body.kind in ("person", "bicycle") else VEHICLE for body in self._world.bodies])
        first = np.where(hits.body == CITY, BUILDING, kinds[np.maximum(hits.body, 0)])
        return np.where(met, first, CLEAR).astype(np.uint8)

    def _trace(
        self,
        antenna_m: NDArray[np.float64],
        links: NDArray[np.int64],
        velocities: tuple[NDArray[np.float64], NDArray[np.float64]],
        diffuse: bool,
    ) -> _Traced:
        """Paths to some of the UEs, either the specular and diffracted or those that are scattered once or more."""
        layout = self._world.layout
        buffer, gain = self._fields(layout.to_scene(antenna_m[links]), diffuse)
        if buffer.buffer_size == 0:
            return _Traced.none()
        owner = links[np.array(buffer.target_indices)]
        kind = np.array(buffer.interaction_types).astype(np.uint8)
        vertex = np.stack([np.array(v) for v in (buffer.vertices_x, buffer.vertices_y, buffer.vertices_z)], -1)
        vertex = np.where((kind != 0)[..., None], layout.to_enu(vertex), np.nan)
        body = np.where(kind != 0, self._world.body_of(np.array(buffer.shapes)), CITY)
        mast = np.array([0.0, 0.0, layout.site.mast_height_m])
        leave, arrive, rate = _legs(mast, vertex, antenna_m[owner], velocities[0][owner], velocities[1][body])
        power = (np.abs(gain) ** 2).max(1)
        kept = power > 0
        if diffuse:
            kept &= (kind == InteractionType.DIFFUSE).any(1)
            kept &= _rank(owner, power * kept) < DIFFUSE_MOST
        pad = MAX_DEPTH - kind.shape[1]
        return _Traced(
            owner[kept],
            (
                gain[kept],
                np.array(buffer.tau, np.float32)[kept],
                _angles(leave)[kept],
                _angles(arrive)[kept],
                rate[kept].astype(np.float32),
                np.pad(kind, ((0, 0), (0, pad)))[kept],
                np.pad(vertex, ((0, 0), (0, pad), (0, 0)), constant_values=np.nan)[kept].astype(np.float32),
            ),
        )

    def _fields(self, targets_m: NDArray[np.float64], diffuse: bool) -> tuple[PathsBuffer, NDArray[np.complex64]]:
        """The solver's own buffer of paths, and their gains `[P, B]`; see `rt.PathSolver.__call__`."""
        scene, solver = self._world.scene, self._solver
        source, source_turn, _, _ = scene.sources(True, False)
        target = mi.Point3f(targets_m.T.astype(np.float32))
        target_turn = dr.zeros(mi.Point3f, len(targets_m))
        dr.make_opaque(source, target, source_turn, target_turn)
        samples = DIFFUSE_SAMPLES if diffuse else SAMPLES
        buffer = solver._candidate_generator(
            mi_scene=scene.mi_scene, src_positions=source, tgt_positions=target, samples_per_src=samples,
            max_num_paths_per_src=1_000_000, max_depth=DIFFUSE_DEPTH if diffuse else MAX_DEPTH, los=not diffuse,
            specular_reflection=True, diffuse_reflection=diffuse, refraction=False, diffraction=not diffuse,
            edge_diffraction=False, seed=SEED,
        )  # fmt: skip
        buffer.schedule()
        dr.eval()
        buffer.shrink()
        buffer.detach_geometry()
        buffer = solver._image_method(
            scene=scene.mi_scene, paths=buffer, src_positions=source, tgt_positions=target, diffraction=not diffuse,
            diffraction_lit_region=True,
        )  # fmt: skip
        buffer.discard_invalid()
        gains = [np.zeros(0, np.complex64)] * len(BANDS)
        found = buffer.valid
        for index, band in enumerate(BANDS if buffer.buffer_size else ()):
            scene.frequency = band.carrier_hz
            buffer.valid = found  # a path without field at one carrier may have one at the next
            buffer = solver._field_calculator(
                wavelength=scene.wavelength, paths=buffer, samples_per_src=samples, diffraction=not diffuse,
                src_positions=source, tgt_positions=target, src_orientations=source_turn, tgt_orientations=target_turn,
                src_antenna_patterns=scene.tx_array.antenna_pattern.patterns,
                tgt_antenna_patterns=scene.rx_array.antenna_pattern.patterns,
            )  # fmt: skip
            field = np.array(buffer.a[0][0].real) + 1j * np.array(buffer.a[0][0].imag)
            field[~np.array(buffer.valid)] = 0
            turns = np.array(buffer.tau, np.float64) * band.carrier_hz % 1.0
            gains[index] = (field * np.exp(-2j * np.pi * turns)).astype(np.complex64)
        return buffer, np.stack(gains, 1)


@dataclass(frozen=True)
class _Traced:
    """Paths in the solver's order: the UE of each, and the columns of `Paths` from `gain` on."""

    owner: NDArray[np.int64]
    columns: tuple[NDArray[np.generic], ...]

    @classmethod
    def none(cls) -> _Traced:
        shapes = (((len(BANDS),), np.complex64), ((), np.float32), ((2,), np.float32), ((2,), np.float32),
                  ((), np.float32), ((MAX_DEPTH,), np.uint8), ((MAX_DEPTH, 3), np.float32))  # fmt: skip
        return cls(np.zeros(0, np.int64), tuple(np.zeros((0, *shape), dtype) for shape, dtype in shapes))


def _rank(owner: NDArray[np.int64], power: NDArray[np.floating]) -> NDArray[np.int64]:
    """Place of each path among those of its link, 0 the strongest."""
    order = np.lexsort((-power, owner))
    counts = np.bincount(owner)
    first = np.cumsum(counts) - counts
    rank = np.empty(len(owner), np.int64)
    rank[order] = np.arange(len(owner)) - first[owner[order]]
    return rank


def _legs(
    site_m: NDArray[np.float64],
    vertex_m: NDArray[np.float64],
    ue_m: NDArray[np.float64],
    ue_mps: NDArray[np.float64],
    vertex_mps: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Directions in which paths leave the site and the UE `[P, 3]`, and the growth of their lengths in m/s `[P]`.

    Args:
        vertex_m: `[P, depth, 3]` points of interaction, NaN past the last; `vertex_mps` `[P, depth, 2]` their bodies'.
    """
    depth = vertex_m.shape[1]
    filled = np.where(np.isnan(vertex_m), ue_m[:, None], vertex_m)  # past the last interaction the path is at the UE
    points = np.concatenate([np.broadcast_to(site_m, (len(ue_m), 1, 3)), filled, ue_m[:, None]], 1)
    speeds = np.concatenate(
        [
            np.zeros((len(ue_m), 1, 2)),
            np.where(np.isnan(vertex_m[..., :2]), ue_mps[:, None], vertex_mps),
            ue_mps[:, None],
        ],
        1,
    )
    legs = np.diff(points, axis=1)
    length = np.linalg.norm(legs, axis=2, keepdims=True)
    unit = np.divide(legs, length, out=np.zeros_like(legs), where=length > 0)
    rate = (unit[..., :2] * np.diff(speeds, axis=1)).sum((1, 2))
    last = np.minimum((~np.isnan(vertex_m[..., 0])).sum(1), depth)
    return unit[:, 0], -unit[np.arange(len(unit)), last], rate


def _angles(direction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Azimuth and elevation `[P, 2]`."""
    up = np.clip(direction[:, 2], -1, 1)
    return np.stack([np.arctan2(direction[:, 1], direction[:, 0]), np.arcsin(up)], 1).astype(np.float32)
