"""The ray-traced world: a city, the objects that move in it, and rays cast through both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.layouts import Layout
from models.data.raytraced.llvm import use_llvm

use_llvm()
import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402  (after the LLVM has been chosen)
import sionna.rt as rt  # noqa: E402

# One thread a process: with more, the order in which rays find paths varies from run to run, and so does which of two
# nearly equal paths is kept. Builds go parallel by processes (`--shard`) instead.
dr.set_thread_count(1)

ABSENT_Z_M = -500.0  # where objects wait that a snapshot does not show
CITY = -1  # object index of everything that does not move


@dataclass(frozen=True)
class Hits:
    """First intersections of a bundle of rays.

    Attributes:
        distance_m: float64 `[N]`, infinite where nothing was hit.
        normal: float64 `[N, 3]`, turned against the ray.
        body: int64 `[N]`, index of the moving object, or `CITY`.
        ground: bool `[N]`, whether the hit lies on the street.
    """

    distance_m: NDArray[np.float64]
    normal: NDArray[np.float64]
    body: NDArray[np.int64]
    ground: NDArray[np.bool_]


class World:
    """A layout's scene with a fixed cast of movable bodies.

    Args:
        layout: the city and the mast.
        bodies: the cast; `place` moves all of them at once.
    """

    def __init__(self, layout: Layout, bodies: tuple[Body, ...]) -> None:
        self.layout = layout
        self.bodies = bodies
        self.scene = rt.load_scene(getattr(rt.scene, layout.scene), merge_shapes=True)
        self._ground = [name for name in self.scene.objects if "ground" in name.lower()]
        metal = rt.ITURadioMaterial("vehicle-metal", "metal", thickness=0.002)
        # Skin: permittivity and conductivity at 6 GHz as in Gabriel et al. 1996, rounded.
        skin = rt.RadioMaterial("person", relative_permittivity=35.0, conductivity=5.0, thickness=0.2)
        objects = []
        for index, body in enumerate(bodies):
            kind = KINDS[body.kind]
            mesh = _mesh(f"body-{index}", *kind.mesh(), material=skin if body.kind == "person" else metal)
            objects.append(rt.SceneObject(mi_mesh=mesh, name=f"body-{index}"))
        self.scene.edit(add=objects)
        self._vertices = [KINDS[body.kind].mesh()[0] for body in bodies]
        self._keys = [self.scene.objects[f"body-{i}"].mi_mesh.id() + ".vertex_positions" for i in range(len(bodies))]
        self._shape_to_body = self._index_shapes()

    def _index_shapes(self) -> dict[int, int]:
        ids = {}
        for name, thing in self.scene.objects.items():
            pointer = int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(thing.mi_mesh))[0])
            ids[pointer] = int(name.split("-")[1]) if name.startswith("body-") else CITY
            if name in self._ground:
                self._ground_pointer = pointer
        return ids

    def place(self, poses: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
        """Move every body, in one update of the scene.

        Args:
            poses: `[bodies, 3]` east m, north m (ENU of the site), heading counter-clockwise from east in rad.
            present: `[bodies]` whether the body is in this snapshot at all.
        """
        params = self.scene.mi_scene_params
        where = self.layout.to_scene(poses[:, :2])
        for index, local in enumerate(self._vertices):
            c, s = np.cos(poses[index, 2]), np.sin(poses[index, 2])
            x = c * local[:, 0] - s * local[:, 1] + where[index, 0]
            y = s * local[:, 0] + c * local[:, 1] + where[index, 1]
            z = local[:, 2] + (0.0 if present[index] else ABSENT_Z_M)
            params[self._keys[index]] = mi.Float(np.stack([x, y, z], 1).astype(np.float32).ravel())
        params.update()

    def cast(self, origins: NDArray[np.floating], directions: NDArray[np.floating]) -> Hits:
        """First hits of rays given in the scene's frame: `origins` `[3]` or `[N, 3]`, unit `directions` `[N, 3]`."""
        directions = np.ascontiguousarray(directions, np.float32)
        origins = np.broadcast_to(np.asarray(origins, np.float32), directions.shape)
        ray = mi.Ray3f(mi.Point3f(origins.T.copy()), mi.Vector3f(directions.T.copy()))
        hit = self.scene.mi_scene.ray_intersect(ray)
        distance = np.array(hit.t, np.float64)
        valid = np.isfinite(distance)
        normal = np.nan_to_num(np.array(hit.n, np.float64).T)
        normal *= -np.sign((normal * directions).sum(1, keepdims=True))
        pointers = np.array(dr.reinterpret_array(mi.UInt32, hit.shape))
        body = np.full(len(distance), CITY)
        for pointer, index in self._shape_to_body.items():
            if index != CITY:
                body[pointers == pointer] = index
        return Hits(distance, normal, np.where(valid, body, CITY), valid & (pointers == self._ground_pointer))


def _mesh(name: str, vertices: NDArray[np.float64], faces: NDArray[np.int64], material: object) -> mi.Mesh:
    props = mi.Properties()
    props["mesh_bsdf"] = material
    mesh = mi.Mesh(name, len(vertices), len(faces), props=props)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float(vertices.astype(np.float32).ravel())
    params["faces"] = mi.UInt32(faces.astype(np.uint32).ravel())
    params.update()
    return mesh
