"""The tensors of several requests as one call of an engine: the `run` and `rows` of the batchers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import ENCODE_INPUTS
from service.engine.protocol import Engine, Inputs, Outputs

CAPTURE_TENSORS = tuple(spec.name for spec in ENCODE_INPUTS if spec.shape[0] == "S")


def encode_many(engine: Engine, jobs: list[Inputs]) -> list[Outputs]:
    """Encode several jobs, each with its own frames and captures, at once. Raises `EngineFailure`."""
    frames = [len(job["csi"]) for job in jobs]
    merged = _concatenate(jobs)
    if "scene_index" not in merged:
        return _split(engine.encode(merged), frames)
    captures = [len(job["scene_mask"]) for job in jobs]
    first_capture = np.cumsum([0, *captures[:-1]])
    merged["scene_index"] = merged["scene_index"].astype(np.int64) + np.repeat(first_capture, frames)
    return _split(engine.encode(_needed_captures(merged)), frames)


def encode_rows(job: Inputs) -> int:
    """Size of an encode job: its frames, or its captures with something in them, whichever are more."""
    if "scene_mask" not in job:
        return len(job["csi"])
    return max(len(job["csi"]), int(np.count_nonzero(np.any(job["scene_mask"], axis=1))))


def fuse_many(engine: Engine, jobs: list[Inputs]) -> list[Outputs]:
    """Fuse several jobs at once. Raises `EngineFailure`."""
    return _split(engine.fuse(_concatenate(jobs)), [len(job["step_mask"]) for job in jobs])


def fuse_rows(job: Inputs) -> int:
    """Size of a fuse job: its frames."""
    return len(job["step_mask"])


def _concatenate(jobs: list[Inputs]) -> dict[str, NDArray[np.generic]]:
    return {name: np.concatenate([job[name] for job in jobs]) for name in jobs[0]}


def _needed_captures(inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The same with only the captures that a frame refers to, and at most one in which everything is missing.

    Every job may bring an empty capture of its own, and an empty one costs as much to encode as any other.
    """
    index = inputs["scene_index"].astype(np.int64)  # [B]
    empty = ~np.any(inputs["scene_mask"], axis=1)  # [S]
    index[empty[index]] = np.argmax(empty)
    needed = np.zeros(len(empty), np.bool_)
    needed[index] = True
    if needed.all():
        return inputs
    row = np.cumsum(needed) - 1  # old row to new row, where it is needed
    return {**inputs, **{name: inputs[name][needed] for name in CAPTURE_TENSORS}, "scene_index": row[index]}


def _split(outputs: Outputs, rows: list[int]) -> list[Outputs]:
    ends = np.cumsum(rows)
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]
