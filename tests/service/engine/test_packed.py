from __future__ import annotations

import numpy as np
import pytest

from service.engine.packed import Packed, Place, bytes_of, rows_of

SHAPES = {"x": (2, 3), "y": (2,)}


def packed(first: int) -> Packed:
    """Tensors that count on from a number."""
    data = np.arange(first, first + 8, dtype=np.int32).tobytes()
    places = {"x": Place((2, 3), np.dtype(np.int32), 0, 24), "y": Place((2,), np.dtype(np.int32), 24, 32)}
    return Packed(memoryview(bytearray(data)), places)


def test_tensors_are_views_of_the_bytes_that_they_lie_in() -> None:
    tensors = packed(5)
    np.testing.assert_array_equal(tensors["x"], [[5, 6, 7], [8, 9, 10]])
    np.testing.assert_array_equal(tensors["y"], [11, 12])
    tensors.data[24:28] = np.int32(99).tobytes()
    assert tensors["y"][0] == 99


def test_they_are_a_mapping_like_any_other() -> None:
    tensors = packed(0)
    assert {name: array.shape for name, array in tensors.items()} == SHAPES
    assert len(tensors) == 2
    assert "x" in tensors
    assert "z" not in tensors
    with pytest.raises(KeyError):
        tensors["z"]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=np.float16).reshape(3, 2).T,
        np.array([True, False]),
        np.zeros((0, 3), np.float32),
    ],
)
def test_bytes_are_those_of_the_array_in_the_order_of_c(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> None:
    assert bytes_of({"x": array}, "x") == array.tobytes()
    assert rows_of({"x": array}, "x") == len(array)


def test_bytes_and_rows_of_packed_tensors_are_those_of_their_arrays() -> None:
    tensors = packed(3)
    for name in tensors:
        assert bytes_of(tensors, name) == tensors[name].tobytes()
        assert rows_of(tensors, name) == len(tensors[name])
