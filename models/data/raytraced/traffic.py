"""Traffic: who moves where, in one episode of a few seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body, Kind
from models.data.raytraced.streets import GRID_M, Streets

_TRIES = 60  # routes tried for one body before it stays away
_AWAY = 0.3  # share of the bodies without UE that an episode leaves out, so that the density of blockers varies
_WAITING = 0.15  # share of the vehicles that stand: at lights, in a queue


@dataclass(frozen=True)
class Episode:
    """Poses of the whole cast over the snapshots of one episode.

    Attributes:
        pose: float64 `[K, bodies, 3]` east m, north m, heading counter-clockwise from east in rad.
        velocity_mps: float64 `[K, bodies, 2]` east, north.
        present: bool `[bodies]`.
        antenna_m: float64 `[K, UEs, 3]` ENU of the antenna that each UE-carrying body holds.
    """

    pose: NDArray[np.float64]
    velocity_mps: NDArray[np.float64]
    present: NDArray[np.bool_]
    antenna_m: NDArray[np.float64]


def simulate(
    cast: tuple[Body, ...],
    streets: Streets,
    zone: int | None,
    time_s: NDArray[np.float64],
    rng: np.random.Generator,
) -> Episode:
    """Routes and poses for every body, none inside a wall or another body at any snapshot.

    UEs keep to one zone with their antennas; other bodies go everywhere. A body that finds no room stays away.

    Args:
        zone: of `zones`, where the UEs are; None for an empty scene without UEs.
        time_s: `[K]` instants, rising from 0.
    """
    count = len(cast)
    pose = np.zeros((len(time_s), count, 3))
    velocity = np.zeros((len(time_s), count, 2))
    present = np.zeros(count, bool)
    held = np.array([rng.uniform(*KINDS[body.kind].antenna_m) for body in cast])
    within = None if zone is None else streets.zone == zone
    taken: list[tuple[NDArray[np.float64], float]] = []  # discs [K, n, 2] and their radius
    for index in np.argsort([-KINDS[b.kind].clearance_m for b in cast], kind="stable"):  # the bulky first
        body, kind = cast[index], KINDS[cast[index].kind]
        if zone is None if body.carries_ue else rng.random() < _AWAY:
            continue
        for _ in range(_TRIES):
            travel = _travel(body, kind, streets, time_s, within if body.carries_ue else None, rng)
            if travel is None:
                continue
            antenna = _antenna(travel[0], held[index], streets)
            if body.carries_ue and (streets.at(streets.zone, antenna[:, :2]) != zone).any():
                continue
            discs = _discs(kind, travel[0])
            if not any(_touch(discs, other) for other in taken):
                pose[:, index], velocity[:, index] = travel
                present[index] = True
                taken.append(discs)
                break
    carriers = [i for i, body in enumerate(cast) if body.carries_ue]
    antennas = np.stack([_antenna(pose[:, i], held[i], streets) for i in carriers], 1)
    return Episode(pose, velocity, present, antennas)


def _antenna(pose: NDArray[np.float64], held: NDArray[np.float64], streets: Streets) -> NDArray[np.float64]:
    c, s = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    x = pose[:, 0] + c * held[0] - s * held[1]
    y = pose[:, 1] + s * held[0] + c * held[1]
    return np.stack([x, y, held[2] + streets.ground_at(pose[:, :2])], -1)


def _travel(
    body: Body,
    kind: Kind,
    streets: Streets,
    time_s: NDArray[np.float64],
    within: NDArray[np.bool_] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    clearance = 1.6 if body.parked else kind.clearance_m
    stands = body.parked or (kind.clearance_m > 1.5 and rng.random() < _WAITING)
    speed = 0.0 if stands else rng.uniform(*kind.speed_mps)
    span = float(time_s[-1])
    length = 4.0 + speed * span
    route = streets.route(rng, clearance, length, within)
    if route is None:
        return None
    step = np.hypot(*np.diff(route, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(step)])
    if along[-1] < length:  # smoothing cuts corners
        return None
    start = rng.uniform(2.0, along[-1] - speed * span - 2.0)
    place = start + speed * time_s
    at = np.stack([np.interp(place, along, route[:, i]) for i in (0, 1)], 1)
    ahead, behind = (
        np.stack([np.interp(place + d, along, route[:, i]) for i in (0, 1)], 1) for d in (1.5 * GRID_M, -1.5 * GRID_M)
    )
    tangent = ahead - behind
    heading = np.arctan2(tangent[:, 1], tangent[:, 0])
    pose = np.column_stack([at, heading])
    edge, radius = _discs(kind, pose)
    if (streets.at(streets.clearance_m, edge.reshape(-1, 2)) < radius).any():
        return None
    return pose, speed * np.stack([np.cos(heading), np.sin(heading)], 1)


def _discs(kind: Kind, pose: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    offsets, radius = kind.discs()
    forward = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], -1)
    return pose[:, None, :2] + offsets[None, :, None] * forward[:, None], radius


def _touch(a: tuple[NDArray[np.float64], float], b: tuple[NDArray[np.float64], float]) -> bool:
    gap = np.linalg.norm(a[0][:, :, None] - b[0][:, None], axis=-1)
    return bool((gap < a[1] + b[1]).any())
