"""Random inputs of the graphs of both contracts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import (
    EMBEDDING_DIM,
    ENCODE_INPUTS,
    RADIO_ENCODE_INPUTS,
    RADIO_STEPS,
    TEXT_LEN,
    TRAJECTORY_LEN,
    TensorSpec,
)

Tensors = dict[str, NDArray[np.generic]]


def encode_inputs(seed: int, frames: int, captures: int, missing_row: bool = False) -> Tensors:
    """A frame refers to any capture or to none; with `missing_row` the last capture has nothing in it."""
    rng = np.random.default_rng(seed)
    inputs = {spec.name: _random(spec, rng, {"B": frames, "S": captures}) for spec in ENCODE_INPUTS}
    inputs["scene_index"] = rng.integers(0, captures + 1, frames)
    inputs["scene_mask"] = np.ones((captures, 3), np.float32)
    inputs["csi_mask"] = rng.integers(0, 2, (frames, 1)).astype(np.float32)
    if missing_row:
        for name in ("camera", "radar", "lidar", "scene_mask"):
            inputs[name][-1] = 0
    return inputs


def fuse_inputs(seed: int, frames: int) -> Tensors:
    """Trajectories of 1 to `TRAJECTORY_LEN` steps, and texts of 0 to a few tokens."""
    rng = np.random.default_rng(seed)
    trajectories = _trajectories(rng, frames, TRAJECTORY_LEN)
    text = rng.integers(1, 90, (frames, TEXT_LEN)) * (np.arange(TEXT_LEN) < rng.integers(0, 3, frames)[:, None])
    return {**trajectories, "text": text.astype(np.int64)}


def radio_encode_inputs(seed: int, frames: int) -> Tensors:
    """Frames of some of 5 sites; CSI is always there, any other cue may be missing."""
    rng = np.random.default_rng(seed)
    inputs = {spec.name: _random(spec, rng, {"B": frames}) for spec in RADIO_ENCODE_INPUTS}
    inputs["site"] = rng.integers(0, 6, frames)
    inputs["cue_mask"] = rng.integers(0, 2, (frames, 4)).astype(np.float32)
    inputs["cue_mask"][:, 0] = 1
    return inputs


def radio_fuse_inputs(seed: int, frames: int) -> Tensors:
    """Trajectories of 1 to `RADIO_STEPS` steps."""
    return _trajectories(np.random.default_rng(seed), frames, RADIO_STEPS)


def _random(spec: TensorSpec, rng: np.random.Generator, sizes: dict[str, int]) -> NDArray[np.generic]:
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
    numbers: NDArray[np.generic] = rng.uniform(0, 100 if spec.dtype == "uint8" else 1, shape).astype(spec.dtype)
    return numbers


def _trajectories(rng: np.random.Generator, frames: int, most: int) -> Tensors:
    steps = rng.integers(1, most + 1, frames)
    mask = (np.arange(most) >= most - steps[:, None]).astype(np.float32)
    return {
        "embedding": rng.normal(size=(frames, most, EMBEDDING_DIM)).astype(np.float32) * mask[..., None],
        "age": mask,
        "step_mask": mask,
    }
