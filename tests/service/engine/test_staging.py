from __future__ import annotations

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from service.contract.tensors import ENCODE_INPUTS, TensorSpec
from service.engine.padding import pad_rows
from service.engine.staging import Staging
from tests.service.engine.inputs import encode_inputs

SIZES = {"B": 8, "S": 4}


def test_inputs_are_copied_and_extended_as_they_are_padded_elsewhere() -> None:
    staging = Staging(ENCODE_INPUTS, SIZES, pin=False)
    for frames, captures, sizes in ((3, 2, {"B": 4, "S": 2}), (8, 4, SIZES), (1, 1, {"B": 1, "S": 4})):
        inputs = encode_inputs(frames, frames, captures)
        expected = pad_rows(ENCODE_INPUTS, inputs, sizes)
        filled = staging.fill(inputs, sizes)
        assert list(filled) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(filled[name], array)
            assert filled[name].dtype == array.dtype
            assert filled[name].flags.c_contiguous


def test_the_memory_is_the_same_for_every_fill() -> None:
    staging = Staging(ENCODE_INPUTS, SIZES, pin=False)
    first, second = (
        {name: array.ctypes.data for name, array in staging.fill(encode_inputs(rows, rows, 1), sizes).items()}
        for rows, sizes in ((2, {"B": 2, "S": 1}), (7, {"B": 8, "S": 4}))
    )
    assert first == second
    assert all(address % 64 == 0 for address in first.values())


def test_memory_that_cannot_be_pinned_is_used_all_the_same_and_said() -> None:
    specs = (TensorSpec("x", "float32", ("B", 3), "", ""),)
    structlog.reset_defaults()
    with capture_logs() as logs:
        staging = Staging(specs, {"B": 2}, pin=True)
    if staging.pinned:
        pytest.skip("this machine has CUDA")
    assert [line["event"] for line in logs] == ["Memory is not pinned: copies to the device are slower"]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(staging.fill({"x": x}, {"B": 2})["x"], np.ones((2, 3)))
