"""What moves in the world: kinds of bodies, their low-poly meshes, and where their antennas sit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kind:
    """A kind of body. Boxes are (x0, x1, y0, y1, z0, z1) in metres, x along the heading, z up from the street.

    Attributes:
        boxes: the mesh, as a union of boxes.
        antenna_m: lowest and highest corner, in the body's frame, of the box in which a UE's antenna is somewhere.
        speed_mps: slowest and fastest cruising speed.
        clearance_m: smallest distance of the body's centre line from walls.
    """

    boxes: tuple[tuple[float, float, float, float, float, float], ...]
    antenna_m: tuple[tuple[float, float, float], tuple[float, float, float]]
    speed_mps: tuple[float, float]
    clearance_m: float

    def mesh(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Vertices `[V, 3]` and triangles `[F, 3]`, normals outwards."""
        parts = [_box(box) for box in self.boxes]
        starts = np.cumsum([0] + [len(v) for v, _ in parts[:-1]])
        return (
            np.concatenate([v for v, _ in parts]),
            np.concatenate([f + start for (_, f), start in zip(parts, starts, strict=True)]),
        )

    @property
    def half_extent_m(self) -> tuple[float, float]:
        """Half length and half width of the footprint."""
        box = np.array(self.boxes)
        return float(np.abs(box[:, :2]).max()), float(np.abs(box[:, 2:4]).max())

    def discs(self) -> tuple[NDArray[np.float64], float]:
        """Offsets along the heading `[K]` and the radius of discs that cover the footprint."""
        length, width = self.half_extent_m
        count = max(1, round(length / width))
        radius = float(np.hypot(length / count, width))
        return np.linspace(-1, 1, 2 * count + 1)[1::2] * length, radius


_PERSON = (-0.15, 0.15, -0.25, 0.25, 0.0, 1.75)
KINDS: dict[str, Kind] = {
    "car": Kind(
        ((-2.2, 2.2, -0.9, 0.9, 0.2, 0.9), (-1.3, 1.0, -0.8, 0.8, 0.9, 1.5)),
        ((-1.2, -0.5, 1.55), (0.8, 0.5, 1.9)), (4.0, 14.0), 2.5,
    ),
    "bus": Kind(((-6.0, 6.0, -1.27, 1.27, 0.3, 3.2),), ((-5.0, -0.8, 3.25), (5.0, 0.8, 3.7)), (4.0, 12.0), 3.5),
    "truck": Kind(((-4.5, 4.5, -1.25, 1.25, 0.4, 3.9),), ((-4.0, -0.8, 3.95), (4.0, 0.8, 4.3)), (4.0, 12.0), 3.2),
    "bicycle": Kind(
        ((-0.85, 0.85, -0.08, 0.08, 0.0, 0.9), (-0.3, 0.2, -0.22, 0.22, 0.9, 1.7)),
        ((0.35, -0.1, 1.0), (0.6, 0.1, 1.2)), (2.5, 7.0), 1.2,
    ),
    "person": Kind((_PERSON,), ((0.25, -0.25, 0.9), (0.5, 0.25, 1.6)), (0.6, 1.8), 0.8),
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """One member of the cast."""

    kind: str
    carries_ue: bool
    parked: bool = False


def _box(extent: tuple[float, float, float, float, float, float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x0, x1, y0, y1, z0, z1 = extent
    corners = np.array([[x, y, z] for z in (z0, z1) for y in (y0, y1) for x in (x0, x1)], np.float64)
    quads = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return corners, np.array(faces)
