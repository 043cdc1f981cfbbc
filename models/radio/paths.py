"""Whole trajectories at once: smoothed vertices and centroids, against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.radio_batches import Radio
from models.data.trajectories import temporal
from models.metrics import squared_mahalanobis
from models.radio.predict import CHUNK, RadioEmbeddings, RadioModel


@dataclass(frozen=True)
class PathResiduals:
    """Misses of one band over trajectories: V vertices in all, F trajectories.

    Attributes:
        error_m: float64 `[V]`; length: float64 `[V]` squared Mahalanobis, raw.
        centroid_error_m, centroid_length: the same of the centroids, `[F]`.
    """

    error_m: NDArray[np.float64]
    length: NDArray[np.float64]
    centroid_error_m: NDArray[np.float64]
    centroid_length: NDArray[np.float64]


@torch.no_grad()
def path_residuals(model: RadioModel, radio: Radio, embedded: RadioEmbeddings, length: int) -> list[PathResiduals]:
    """For each band, over the trajectories that end with each frame that counts."""
    model.eval()
    frames = radio.frames
    every, truth = temporal(frames, length), frames.position_m[:, :2].astype(np.float64)
    counted = np.flatnonzero(frames.present & ~frames.duplicate)
    found = []
    for band in range(len(frames.bands)):
        parts: list[list[NDArray[np.float64]]] = [[], [], [], []]
        for rows in np.array_split(counted, max(1, len(counted) // CHUNK)):
            index, mask = every.index[rows], every.mask[rows]
            out = model.fuser(
                torch.from_numpy(embedded.embedding[index, band]),
                torch.from_numpy(every.age_s[rows]),
                torch.from_numpy(mask.astype(np.float32)),
            )
            away = (truth[index] - out["position"].numpy())[mask]
            middle = (truth[index] * mask[..., None]).sum(1) / mask.sum(1)[:, None]
            centre = middle - out["centroid"].numpy()
            for into, values in zip(
                parts,
                (
                    np.hypot(*away.T), squared_mahalanobis(away, out["scale_tril"].numpy()[mask]),
                    np.hypot(*centre.T), squared_mahalanobis(centre, out["centroid_scale_tril"].numpy()),
                ),
                strict=True,
            ):  # fmt: skip
                into.append(np.asarray(values, np.float64))
        found.append(PathResiduals(*(np.concatenate(part) for part in parts)))
    return found
