"""Rays against triangles in plain NumPy (Möller and Trumbore 1997): what the ray tracer is checked with."""

from __future__ import annotations

from dataclasses import dataclass

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS
from models.data.raytraced.world import CITY, World


@dataclass(frozen=True)
class Triangles:
    """Corners float64 `[F, 3, 3]` in the scene's frame, and the body that each belongs to, or `CITY`."""

    corners: NDArray[np.float64]
    owner: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        world: World,
        pose: NDArray[np.floating],
        ground_m: NDArray[np.floating],
        present: NDArray[np.bool_],
    ) -> Triangles:
        """The city as the scene file has it, and bodies in poses `[bodies, 3]` (ENU, heading) on ground `[bodies]`."""
        corners, owners = [], []
        for name, thing in world.scene.objects.items():
            if not name.startswith("body-"):
                mesh = mi.traverse(thing.mi_mesh)
                points = np.array(mesh["vertex_positions"], np.float64).reshape(-1, 3)
                corners.append(points[np.array(mesh["faces"]).reshape(-1, 3)])
                owners.append(CITY)
        for index in np.flatnonzero(present):
            vertices, faces = KINDS[world.bodies[index].kind].mesh()
            east, north, heading = (float(v) for v in pose[index])
            c, s = np.cos(heading), np.sin(heading)
            turned = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
            foot = world.layout.to_scene(np.array([east, north, ground_m[index]]))
            corners.append((turned + foot)[faces])
            owners.append(int(index))
        counts = [len(part) for part in corners]
        return cls(np.concatenate(corners), np.repeat(owners, counts))

    def first_hit(self, origin: NDArray[np.floating], direction: NDArray[np.floating]) -> tuple[float, int]:
        """Distance of the first hit along a unit `direction`, infinite where there is none, and what was hit."""
        a, b, c = self.corners.transpose(1, 0, 2)
        p = np.cross(direction, c - a)
        det = ((b - a) * p).sum(1)
        flat = np.abs(det) < 1e-12
        scale = 1 / np.where(flat, 1, det)
        away = origin - a
        q = np.cross(away, b - a)
        u, v, t = (away * p).sum(1) * scale, (q @ direction) * scale, ((c - a) * q).sum(1) * scale
        hit = ~flat & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-4)
        if not hit.any():
            return float("inf"), CITY
        nearest = np.flatnonzero(hit)[t[hit].argmin()]
        return float(t[nearest]), int(self.owner[nearest])
