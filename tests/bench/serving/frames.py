"""Frames to send: random, from a fixed seed, and so unlike each other that an answer to the wrong one shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.bench.serving.tensors import INPUTS

Arrays = dict[str, NDArray[np.generic]]


def draw(count: int, seed: int = 0) -> Arrays:
    """Inputs of `count` frames by name."""
    rng = np.random.default_rng(seed)
    loudness = rng.uniform(0.1, 2.0, count).astype(np.float32)
    arrays: Arrays = {}
    for spec in INPUTS:
        shape = (count, *(int(size) for size in spec.shape[1:]))
        scale = loudness.reshape(-1, *[1] * (len(shape) - 1))
        if spec.dtype == "uint8":
            arrays[spec.name] = (rng.integers(0, 128, shape) * scale).astype(np.uint8)
        else:
            arrays[spec.name] = rng.standard_normal(shape, np.float32) * scale
    return arrays


def take(frames: Arrays, first: int, count: int) -> Arrays:
    """Some of the frames."""
    return {name: array[first : first + count] for name, array in frames.items()}
