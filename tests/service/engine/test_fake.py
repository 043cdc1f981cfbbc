from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from service.engine.fake import FakeEngine
from tests.service.engine.artifacts import manifest
from tests.service.engine.inputs import encode_inputs, fuse_inputs


def test_a_fault_can_be_caused_before_either_graph() -> None:
    def before(graph: str) -> None:
        raise RuntimeError(graph)

    engine = FakeEngine(manifest(), before)
    with pytest.raises(RuntimeError, match="encode"):
        engine.encode(encode_inputs(0, 1, 1))
    with pytest.raises(RuntimeError, match="fuse"):
        engine.fuse(fuse_inputs(0, 1))


def test_rows_do_not_mix() -> None:
    engine, inputs = FakeEngine(manifest()), fuse_inputs(0, 6)
    whole = engine.fuse(inputs)
    alone = engine.fuse({name: array[3:4] for name, array in inputs.items()})
    for name, array in alone.items():
        np.testing.assert_array_equal(array, whole[name][3:4])


def test_serving_code_does_not_load_the_fake() -> None:
    code = (
        "import sys, service.engine.onnx_engine, service.engine.discovery, service.engine.merging;"
        "sys.exit('service.engine.fake' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
