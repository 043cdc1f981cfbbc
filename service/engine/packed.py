"""Tensors that lie one after the other in the bytes of a request.

At eight requests a run, an array of each tensor of each request takes longer to make than its bytes take to copy. So
arrays are made where somebody asks for one, and requests that run together are put together by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Place(NamedTuple):
    """Of one tensor.

    Attributes:
        shape, dtype: of the array.
        start, end: its first byte, and the one after its last.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    end: int


class Packed(Mapping[str, NDArray[np.generic]]):
    """Tensors by name. Those of requests with the same document share the places.

    Attributes:
        data: bytes that they all lie in.
        places: where each lies.
    """

    __slots__ = ("data", "places")

    def __init__(self, data: memoryview, places: Mapping[str, Place]) -> None:
        self.data, self.places = data, places

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        place = self.places[name]
        return np.ndarray(place.shape, place.dtype, self.data, place.start)

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def rows_of(tensors: Mapping[str, NDArray[np.generic]], name: str) -> int:
    """The first size of a tensor."""
    return tensors.places[name].shape[0] if type(tensors) is Packed else len(tensors[name])


def bytes_of(tensors: Mapping[str, NDArray[np.generic]], name: str) -> memoryview:
    """What a tensor holds, in the order of C; copied only where it lies otherwise."""
    if type(tensors) is Packed:
        place = tensors.places[name]
        return tensors.data[place.start : place.end]
    array = tensors[name]
    if not array.size:
        return memoryview(b"")  # a view of nothing cannot be cast
    return (array if array.flags.c_contiguous else np.ascontiguousarray(array)).data.cast("B")
