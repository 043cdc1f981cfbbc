"""Tensors and graphs against the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from service.contract.tensors import TRAJECTORY_LEN, TensorSpec
from service.engine.protocol import Inputs
from service.errors import EngineFailure

ONNX_TYPES = {
    "float16": "tensor(float16)",
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    **{f"{kind}{bits}": f"tensor({kind}{bits})" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "bool": "tensor(bool)",
}


class GraphTensor(Protocol):
    """An input or output as ONNX Runtime describes it; free dimensions are strings or None."""

    name: str
    type: str
    shape: list[int | str | None]


def graph_mismatch(specs: Sequence[TensorSpec], tensors: Sequence[GraphTensor]) -> str | None:
    """Where a graph's inputs or outputs contradict `specs` in name, order, dtype or shape; None where they do not."""
    wanted, found = [spec.name for spec in specs], [tensor.name for tensor in tensors]
    if wanted != found:
        return f"expected the tensors {', '.join(wanted)} in this order, got {', '.join(found)}"
    for spec, tensor in zip(specs, tensors, strict=True):
        fits = len(spec.shape) == len(tensor.shape) and all(map(_dimension_fits, spec.shape, tensor.shape))
        if not fits or tensor.type != ONNX_TYPES[spec.dtype]:
            wanted_type = f"{ONNX_TYPES[spec.dtype]} {list(spec.shape)}"
            return f"{spec.name}: expected {wanted_type}, got {tensor.type} {tensor.shape}"
    return None


def _dimension_fits(wanted: int | str, found: int | str | None) -> bool:
    if not isinstance(found, int):
        return True  # a graph may promise less than it holds: exporters leave sizes open; a trial run tells
    return found == (TRAJECTORY_LEN if wanted == "T" else wanted)  # trajectories are always padded to it


def free_sizes(specs: Iterable[TensorSpec], tensors: Inputs, steps: int = 0) -> dict[str, int]:
    """Size of each free dimension, e.g. `{"B": 5, "S": 2}`.

    Raises:
        EngineFailure: a tensor is missing, does not fit its specification, or disagrees with another one on a size;
            or the dimension T has another size than `steps`, where that is not 0.
    """
    sizes: dict[str, int] = {}
    for spec in specs:
        if spec.name not in tensors:
            raise EngineFailure(f"{spec.name}: expected this tensor, got only {', '.join(tensors)}")
        array = tensors[spec.name]
        try:
            spec.check(array)
        except ValueError as error:
            raise EngineFailure(str(error)) from error
        for dim, size in zip(spec.shape, array.shape, strict=True):
            if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
                raise EngineFailure(f"{spec.name}: expected {sizes[dim]} along {dim} as in the others, got {size}")
    if steps and sizes.get("T", steps) != steps:
        raise EngineFailure(f"embedding: expected {steps} steps, padded on the left, got {sizes['T']}")
    return sizes


def check_scene_index(inputs: Inputs) -> None:
    """Raise `EngineFailure` where a row is neither a capture's nor their number, which stands for none.

    A negative row would silently count from the end.
    """
    index, captures = inputs["scene_index"], len(inputs["scene_mask"])
    if index.view(np.uint64).max() > captures:  # negative rows are the largest of all there
        low, high = int(np.min(index)), int(np.max(index))
        raise EngineFailure(f"scene_index: expected rows from 0 to {captures}, got {low} to {high}")
