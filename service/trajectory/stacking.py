"""Trajectories of any length as the fixed-size tensors that the fuse graph takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import EMBEDDING_DIM
from service.trajectory.vertex import Trajectory


def stack(trajectories: Sequence[Trajectory], steps: int) -> dict[str, NDArray[np.float32]]:
    """The newest steps of each trajectory, padded on the left, so that the newest is always the last.

    Returns:
        `embedding` `[B, T, D]`, `age` `[B, T]` in seconds before the newest step, and `step_mask` `[B, T]`, with
        T = `steps`; padding is zero in all three.

    Raises:
        ValueError: a trajectory is empty.
    """
    lengths = np.array([min(len(t), steps) for t in trajectories], np.intp)
    if not lengths.all():
        raise ValueError("trajectory: expected at least one vertex, got none")
    shape = (len(trajectories), steps)
    present = np.arange(steps) >= steps - lengths[:, None]  # [B, T]
    embedding = np.zeros((*shape, EMBEDDING_DIM), np.float32)
    embedding[present] = np.concatenate([t.embeddings[-steps:] for t in trajectories])
    age = np.zeros(shape, np.float32)
    age[present] = np.concatenate([t.timestamps_s[-1] - t.timestamps_s[-steps:] for t in trajectories])
    return {"embedding": embedding, "age": age, "step_mask": present.astype(np.float32)}
