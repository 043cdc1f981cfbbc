"""Where tensors lie in memory: always at the same place in a cache line.

Some kernels handle the first numbers of a tensor one by one until they reach an address that suits the processor, so
that the last bit of a sum depends on where its terms lie. Tensors that always lie alike are answered alike, whichever
way they came.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


def aligned_empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array with nothing in it yet, which begins at a multiple of `ALIGNMENT`."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -_address(block) % ALIGNMENT
    return block[start : start + size].view(kind).reshape(shape)


def aligned(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same numbers where they should lie, one after the other; not copied where they do already."""
    if array.flags.c_contiguous and _address(array) % ALIGNMENT == 0:
        return array
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def aligned_size(nbytes: int) -> int:
    """The room that so many bytes take where the next tensor is to begin at a multiple of `ALIGNMENT` again."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
