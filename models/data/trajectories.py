"""Group frames into short trajectories: along time, as they are served, or in space, as SCADF-MoE is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.frames import Frames


@dataclass(frozen=True)
class Grouping:
    """R trajectories of at most T frames, oldest first; shorter ones are padded in front, the last is always there.

    Attributes:
        index: int64 `[R, T]` rows of `Frames`; where `mask` is False, that of the last frame again.
        mask: bool `[R, T]`.
        age_s: float32 `[R, T]` seconds before the last frame; 0 where `mask` is False.
    """

    index: NDArray[np.int64]
    mask: NDArray[np.bool_]
    age_s: NDArray[np.float32]


def temporal(frames: Frames, length: int) -> Grouping:
    """The last `length` frames of the UE up to each frame: trajectory r ends with frame r, R = F."""
    count = len(frames)
    order = np.lexsort((frames.time_s, frames.track))
    track = frames.track[order]
    place = np.arange(count)[:, None] + np.arange(1 - length, 1)  # [F, T], in that order
    mask = (place >= 0) & (track[np.maximum(place, 0)] == track[:, None])
    index = np.where(mask, order[np.maximum(place, 0)], order[:, None])
    age = frames.time_s[index[:, -1:]] - frames.time_s[index]
    back = np.argsort(order)
    return Grouping(index[back], mask[back], age[back].astype(np.float32))


def spatial(frames: Frames, length: int, rng: np.random.Generator) -> Grouping:
    """Clusters of at most `length` neighbouring frames of one site; every frame is in exactly one, R <= F.

    A site's frames are cut in two halves across a random direction, again and again, until a half is small enough; so
    clusters hold between `length / 2` and `length` frames (fewer only where a site has fewer), compact and different
    in every draw. Within one, each frame follows its nearest that is left, and the one nearest the centroid is last.

    Clusters are made by true positions and carry no time (`age_s` is 0, which gives nothing away). They are for
    training, and for testing as the paper does (arXiv 2507.01337); a deployed base station has `temporal` only.
    """
    rows = np.flatnonzero(frames.present)
    place_m = frames.position_m[:, :2].astype(np.float64)
    clusters: list[NDArray[np.int64]] = []
    for site in np.unique(frames.site[rows]):
        waiting = [rows[frames.site[rows] == site]]
        while waiting:
            cluster = waiting.pop()
            if len(cluster) <= length:
                clusters.append(_walk(cluster, place_m[cluster]))
                continue
            angle = rng.uniform(0, np.pi)
            along = np.argsort(place_m[cluster] @ [np.cos(angle), np.sin(angle)], kind="stable")
            waiting += [cluster[along[: len(along) // 2]], cluster[along[len(along) // 2 :]]]
    padded = [np.concatenate([np.full(length - len(c), c[-1]), c]) for c in clusters]
    index = np.array(padded, np.int64).reshape(-1, length)
    mask = np.arange(length) >= length - np.array([len(c) for c in clusters], np.int64)[:, None]
    return Grouping(index, mask, np.zeros(index.shape, np.float32))


def _walk(cluster: NDArray[np.int64], place_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """The frames of a cluster from the outside to the one nearest the centroid, `[n]`."""
    here = int(np.linalg.norm(place_m - place_m.mean(0), axis=1).argmin())
    gap_m = np.linalg.norm(place_m[:, None] - place_m, axis=-1)
    steps = [here]
    while len(steps) < len(cluster):
        gap_m[:, here] = np.inf
        here = int(gap_m[here].argmin())
        steps.append(here)
    return cluster[steps[::-1]]
