"""Rows padded to a few sizes, for devices that pay for every shape they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.protocol import Inputs


def bucket(rows: int, buckets: Sequence[int]) -> int:
    """The rows to run for `rows`: the next of the ascending `buckets`, beyond them the next multiple of the last.

    Without buckets, `rows` itself.
    """
    if not buckets:
        return rows
    return next((size for size in buckets if size >= rows), -(-rows // buckets[-1]) * buckets[-1])


def can_be_padded(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], fixed: frozenset[str]) -> bool:
    """Whether more rows leave the answers of the others alone: all has rows, and no other size is free.

    An output without rows, such as a mean over them, would count those that were added.

    Args:
        inputs: of a graph.
        outputs: of the same.
        fixed: names of dimensions that have one size.
    """
    return all(
        spec.shape
        and isinstance(spec.shape[0], str)
        and all(isinstance(dim, int) or dim in fixed for dim in spec.shape[1:])
        for spec in (*inputs, *outputs)
    )


def pad_rows(specs: Sequence[TensorSpec], inputs: Inputs, sizes: Mapping[str, int]) -> dict[str, NDArray[np.generic]]:
    """The inputs, their first axis, where it is a free one, extended to its size by repeating the first row.

    A repeated row is valid whatever the tensor means; zeros would have to be masked, as captures are, of which there
    may be none to repeat.
    """
    return {spec.name: _extend(inputs[spec.name], spec, sizes) for spec in specs}


def _extend(array: NDArray[np.generic], spec: TensorSpec, sizes: Mapping[str, int]) -> NDArray[np.generic]:
    rows = sizes.get(str(spec.shape[0])) if spec.shape else None
    if rows is None or len(array) == rows:
        return array
    if not len(array):
        return np.zeros((rows, *array.shape[1:]), array.dtype)
    return np.concatenate([array, np.broadcast_to(array[:1], (rows - len(array), *array.shape[1:]))])
