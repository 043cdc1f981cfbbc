"""Traffic: who moves where, in one episode of a few seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body, Kind
from models.data.raytraced.streets import GRID_M, Streets

_TRIES = 60  # routes tried for one body before it stays away


@dataclass(frozen=True)
class Episode:
    """Poses of the whole cast over the snapshots of one episode.

    Attributes:
        pose: float64 `[K, bodies, 3]` east m, north m, heading counter-clockwise from east in rad.
        velocity_mps: float64 `[K, bodies, 2]` east, north.
        present: bool `[bodies]`.
    """

    pose: NDArray[np.float64]
    velocity_mps: NDArray[np.float64]
    present: NDArray[np.bool_]

    def antenna_m(self, cast: tuple[Body, ...]) -> NDArray[np.float64]:
        """ENU of the antenna that each UE-carrying body holds, `[K, UEs, 3]`."""
        index = [i for i, body in enumerate(cast) if body.carries_ue]
        local = np.array([KINDS[cast[i].kind].antenna_m for i in index])
        pose = self.pose[:, index]
        c, s = np.cos(pose[..., 2]), np.sin(pose[..., 2])
        x = pose[..., 0] + c * local[:, 0] - s * local[:, 1]
        y = pose[..., 1] + s * local[:, 0] + c * local[:, 1]
        return np.stack([x, y, np.broadcast_to(local[:, 2], x.shape)], -1)


def simulate(
    cast: tuple[Body, ...], streets: Streets, time_s: NDArray[np.float64], rng: np.random.Generator
) -> Episode:
    """Routes and poses for every body, none inside a wall or another body at any snapshot.

    Bodies that carry no UE are each absent with probability 0.3, so that the density of blockers varies. Raises
    `RuntimeError` where a UE-carrying body finds no room.
    """
    count = len(cast)
    pose = np.zeros((len(time_s), count, 3))
    velocity = np.zeros((len(time_s), count, 2))
    present = np.zeros(count, bool)
    taken: list[tuple[NDArray[np.float64], float]] = []  # discs [K, n, 2] and their radius
    for index in np.argsort([-KINDS[b.kind].clearance_m for b in cast], kind="stable"):  # the bulky first
        body, kind = cast[index], KINDS[cast[index].kind]
        if not body.carries_ue and rng.random() < 0.3:
            continue
        for _ in range(_TRIES):
            travel = _travel(body, kind, streets, time_s, rng)
            if travel is None:
                continue
            discs = _discs(kind, travel[0])
            if not any(_touch(discs, other) for other in taken):
                pose[:, index], velocity[:, index] = travel
                present[index] = True
                taken.append(discs)
                break
        if body.carries_ue and not present[index]:
            raise RuntimeError(f"no room on the streets for body {index} ({body.kind}) after {_TRIES} routes")
    return Episode(pose, velocity, present)


def _travel(
    body: Body, kind: Kind, streets: Streets, time_s: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    clearance = 1.6 if body.parked else kind.clearance_m
    route = streets.route(rng, clearance)
    if route is None:
        return None
    speed = 0.0 if body.parked else rng.uniform(*kind.speed_mps)
    step = np.hypot(*np.diff(route, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(step)])
    span = time_s[-1] - time_s[0]
    if along[-1] < speed * span + 4.0:
        return None
    start = rng.uniform(2.0, along[-1] - speed * span - 2.0)
    place = start + speed * (time_s - time_s[0])
    at = np.stack([np.interp(place, along, route[:, i]) for i in (0, 1)], 1)
    ahead, behind = (
        np.stack([np.interp(place + d, along, route[:, i]) for i in (0, 1)], 1) for d in (1.5 * GRID_M, -1.5 * GRID_M)
    )
    tangent = ahead - behind
    heading = np.arctan2(tangent[:, 1], tangent[:, 0])
    if body.parked:
        heading[:] = heading[0]
    pose = np.column_stack([at, heading])
    edge, radius = _discs(kind, pose)
    if (streets.clearance_at(edge.reshape(-1, 2)) < radius).any():
        return None
    return pose, speed * np.stack([np.cos(heading), np.sin(heading)], 1)


def _discs(kind: Kind, pose: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    offsets, radius = kind.discs()
    forward = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], -1)
    return pose[:, None, :2] + offsets[None, :, None] * forward[:, None], radius


def _touch(a: tuple[NDArray[np.float64], float], b: tuple[NDArray[np.float64], float]) -> bool:
    gap = np.linalg.norm(a[0][:, :, None] - b[0][:, None], axis=-1)
    return bool((gap < a[1] + b[1]).any())
