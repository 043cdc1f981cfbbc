"""The tensors of several requests as one run of a graph: what a batcher of it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import ENCODE_INPUTS, MULTIMODAL, Contract
from service.engine.alignment import aligned, aligned_empty
from service.engine.packed import Packed, bytes_of, rows_of
from service.engine.protocol import Inputs, Outputs

CAPTURE_TENSORS = tuple(spec.name for spec in ENCODE_INPUTS if spec.shape[0] == "S")
ROW = "B"  # the dimension along which jobs are put together


class Runs(Protocol):
    """What an engine is to jobs."""

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        """See `service.engine.protocol.Engine`."""


@dataclass(frozen=True)
class Merging:
    """How jobs of a graph run together.

    Attributes:
        run: answers jobs on an engine, one answer a job.
        rows: size of a job, at least 1.
        cut: whether a job can be cut into several along its rows.
        alone: whether a job must run alone: sizes other than the rows are free, or outputs have no rows.
    """

    run: Callable[[Runs, list[Inputs]], list[Outputs]]
    rows: Callable[[Inputs], int]
    cut: bool
    alone: bool = False


def merging(contract: Contract, graph: str) -> Merging:
    """How jobs of one of the contract's graphs run together."""
    if contract is MULTIMODAL and graph == "encode":
        return Merging(_encode_with_captures, _frames_or_captures, cut=False)
    inputs, outputs = contract.graphs[graph]
    fixed = {"T"} if contract.steps else set()
    by_rows = all(
        spec.shape[:1] == (ROW,) and all(isinstance(dim, int) or dim in fixed for dim in spec.shape[1:])
        for spec in (*inputs, *outputs)
    )
    first = inputs[0].name
    if by_rows:
        return Merging(partial(_rowwise, graph), lambda job: rows_of(job, first), cut=True)
    return Merging(
        lambda engine, jobs: [engine.run(graph, _aligned(job)) for job in jobs], lambda job: 1, cut=False, alone=True
    )


def cut(job: Inputs, rows: int) -> list[Inputs]:
    """A job in pieces of at most so many rows, as alike as can be: nobody waits for a piece of one row."""
    total = len(next(iter(job.values())))
    pieces = -(-total // rows)
    ends = [total * (piece + 1) // pieces for piece in range(pieces)]
    return [
        {name: array[start:end] for name, array in job.items()} for start, end in zip([0, *ends], ends, strict=False)
    ]


def join(pieces: list[Outputs]) -> Outputs:
    """The inverse of `cut`, of what was answered."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _rowwise(graph: str, engine: Runs, jobs: list[Inputs]) -> list[Outputs]:
    if len(jobs) == 1:
        return [engine.run(graph, _aligned(jobs[0]))]
    first = next(iter(jobs[0]))
    rows = [rows_of(job, first) for job in jobs]
    return _split(engine.run(graph, _concatenate(jobs)), rows)


def _encode_with_captures(engine: Runs, jobs: list[Inputs]) -> list[Outputs]:
    frames = [len(job["csi"]) for job in jobs]
    if len(jobs) == 1:
        return _split(engine.run("encode", _needed_captures(_aligned(jobs[0]))), frames)
    captures = [len(job["scene_mask"]) for job in jobs]
    merged = _concatenate(jobs)
    index, first_capture = merged["scene_index"].astype(np.int64), np.cumsum([0, *captures[:-1]])
    none = index == np.repeat(captures, frames)
    index += np.repeat(first_capture, frames)
    index[none] = sum(captures)
    merged["scene_index"] = index
    return _split(engine.run("encode", _needed_captures(merged)), frames)


def _frames_or_captures(job: Inputs) -> int:
    """Frames, or captures with something in them, whichever are more."""
    return max(len(job["csi"]), int(np.count_nonzero(np.any(job["scene_mask"], axis=1))))


def _aligned(job: Inputs) -> dict[str, NDArray[np.generic]]:
    """The same with every tensor where it should lie: a view of a request's body may begin anywhere."""
    return {name: aligned(array) for name, array in job.items()}


def _concatenate(jobs: list[Inputs]) -> dict[str, NDArray[np.generic]]:
    """The rows of all jobs, tensor by tensor.

    By slices of memory: NumPy would let go of the interpreter's lock for each part, and every time wait for its turn
    behind the event loop. That took ten times as long as copying.
    """
    alike = _packed_alike(jobs)
    merged: dict[str, NDArray[np.generic]] = {}
    for name, first in jobs[0].items():
        rows = len(first) * len(jobs) if alike else sum([rows_of(job, name) for job in jobs])
        merged[name] = together = aligned_empty((rows, *first.shape[1:]), first.dtype)
        if not together.size:
            continue
        if alike:
            _, _, start, end = alike[0].places[name]
            parts = [job.data[start:end] for job in alike]
        else:
            parts = [bytes_of(job, name) for job in jobs]
        there, at = together.data.cast("B"), 0
        for part in parts:
            to = at + len(part)
            there[at:to] = part
            at = to
    return merged


def _packed_alike(jobs: list[Inputs]) -> list[Packed]:
    """The jobs, where every tensor lies at the same place in all of them, as those of many clients of a kind do."""
    packed = [job for job in jobs if type(job) is Packed]
    alike = len(packed) == len(jobs) and all(job.places is packed[0].places for job in packed)
    return packed if alike else []


def _needed_captures(inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The same with only the captures that have something in them and that a frame refers to.

    One in which everything is missing says no more than none, and costs as much to encode as any other.
    """
    index = inputs["scene_index"].astype(np.int64)  # [B]
    empty = np.append(~np.any(inputs["scene_mask"], axis=1), True)  # [S + 1], none behind the last
    needed = np.zeros(len(empty), np.bool_)
    needed[index] = True
    needed &= ~empty
    if np.count_nonzero(needed) == len(needed) - 1:
        return inputs
    row = np.where(needed, np.cumsum(needed) - 1, np.count_nonzero(needed))  # old row to new row
    return {
        **inputs,
        **{name: aligned(inputs[name][needed[:-1]]) for name in CAPTURE_TENSORS},
        "scene_index": row[index],
    }


def _split(outputs: Outputs, rows: list[int]) -> list[Outputs]:
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(accumulate(rows), rows, strict=True)
    ]
