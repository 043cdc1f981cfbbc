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

_TOUCH_M = 1e-2  # rays in single precision miss their goal by less
ABSENT_Z_M = -500.0  # where objects wait that a snapshot does not show
_GROUND_NAMES = ("ground", "plane", "terrain")
# Share of the reflected field that rough walls scatter, Lambertian: Degli-Esposti et al., IEEE Trans. Antennas Propag.
# 55 (2007), find 0.2 to 0.4 for buildings of brick and stone.
SCATTERING = 0.3
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
        self._ground = [name for name in self.scene.objects if name.lower() in _GROUND_NAMES]
        for material in self.scene.radio_materials.values():
            if "metal" not in material.name:
                material.scattering_coefficient = SCATTERING
        metal = rt.ITURadioMaterial("vehicle-metal", "metal", thickness=0.002)
        skin = rt.RadioMaterial("person", thickness=0.2, frequency_update_callback=_skin)
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

    def place(self, poses: NDArray[np.float64], ground_m: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
        """Move every body, in one update of the scene.

        Args:
            poses: `[bodies, 3]` east m, north m (ENU of the site), heading counter-clockwise from east in rad.
            ground_m: `[bodies]` ENU height of the ground under each.
            present: `[bodies]` whether the body is in this snapshot at all.
        """
        params = self.scene.mi_scene_params
        feet = self.layout.to_scene(np.column_stack([poses[:, :2], ground_m]))
        for index, local in enumerate(self._vertices):
            c, s = np.cos(poses[index, 2]), np.sin(poses[index, 2])
            x = c * local[:, 0] - s * local[:, 1] + feet[index, 0]
            y = s * local[:, 0] + c * local[:, 1] + feet[index, 1]
            z = local[:, 2] + (feet[index, 2] if present[index] else ABSENT_Z_M)
            params[self._keys[index]] = mi.Float(np.stack([x, y, z], 1).astype(np.float32).ravel())
        params.update()

    def clear(self) -> None:
        """Send every body away."""
        count = len(self.bodies)
        self.place(np.zeros((count, 3)), np.zeros(count), np.zeros(count, bool))

    def body_of(self, shapes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Index of the body that each Dr.Jit shape number stands for, `CITY` for all that is none."""
        body = np.full(np.shape(shapes), CITY)
        for pointer, index in self._shape_to_body.items():
            if index != CITY:
                body[shapes == pointer] = index
        return body

    def sees(self, origin: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether nothing stands between `origin` `[3]` and each of `points` `[N, 3]`, in the scene's frame."""
        away = points - origin
        distance = np.linalg.norm(away, axis=1)
        return np.asarray(self.cast(origin, away / distance[:, None]).distance_m >= distance - _TOUCH_M)

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
        body = np.where(valid, self.body_of(pointers), CITY)
        return Hits(distance, normal, body, valid & (pointers == self._ground_pointer))


def _skin(frequency_hz: mi.Float) -> tuple[mi.Float, mi.Float]:
    """Relative permittivity and conductivity in S/m of dry skin, by log-log interpolation of a few values.

    Values rounded from Gabriel, Lau and Gabriel, "The dielectric properties of biological tissues: III", Phys. Med.
    Biol. 41 (1996).
    """
    grid_hz, permittivity, conductivity = (2.6e9, 6.0e9, 28.0e9), (38.0, 35.0, 17.0), (1.5, 3.9, 26.0)
    at = np.log(float(np.array(frequency_hz).item()))
    epsilon, sigma = (
        float(np.exp(np.interp(at, np.log(grid_hz), np.log(table)))) for table in (permittivity, conductivity)
    )
    return mi.Float(epsilon), mi.Float(sigma)


def _mesh(name: str, vertices: NDArray[np.float64], faces: NDArray[np.int64], material: object) -> mi.Mesh:
    props = mi.Properties()
    props["mesh_bsdf"] = material
    mesh = mi.Mesh(name, len(vertices), len(faces), props=props)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float(vertices.astype(np.float32).ravel())
    params["faces"] = mi.UInt32(faces.astype(np.uint32).ravel())
    params.update()
    return mesh
