"""Random inputs of the two graphs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import EMBEDDING_DIM, ENCODE_INPUTS, TEXT_LEN, TRAJECTORY_LEN

Tensors = dict[str, NDArray[np.generic]]


def encode_inputs(seed: int, frames: int, captures: int, missing_row: bool = False) -> Tensors:
    """Every frame refers to some capture; with `missing_row` the last capture has nothing in it."""
    rng = np.random.default_rng(seed)
    sizes = {"B": frames, "S": captures}
    inputs: Tensors = {}
    for spec in ENCODE_INPUTS:
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
        inputs[spec.name] = rng.uniform(0, 100 if spec.dtype == "uint8" else 1, shape).astype(spec.dtype)
    inputs["scene_index"] = rng.integers(0, captures, frames)
    inputs["scene_mask"] = np.ones((captures, 3), np.float32)
    inputs["csi_mask"] = rng.integers(0, 2, (frames, 1)).astype(np.float32)
    if missing_row:
        for name in ("camera", "radar", "lidar", "scene_mask"):
            inputs[name][-1] = 0
    return inputs


def fuse_inputs(seed: int, frames: int) -> Tensors:
    """Trajectories of 1 to `TRAJECTORY_LEN` steps, and texts of 0 to a few tokens."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, TRAJECTORY_LEN + 1, frames)
    mask = (np.arange(TRAJECTORY_LEN) >= TRAJECTORY_LEN - steps[:, None]).astype(np.float32)
    text = rng.integers(1, 90, (frames, TEXT_LEN)) * (np.arange(TEXT_LEN) < rng.integers(0, 3, frames)[:, None])
    return {
        "embedding": rng.normal(size=(frames, TRAJECTORY_LEN, EMBEDDING_DIM)).astype(np.float32) * mask[..., None],
        "age": mask,
        "step_mask": mask,
        "text": text.astype(np.int64),
    }
