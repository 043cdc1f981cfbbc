from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from service.contract.tensors import MULTIMODAL, RADIO, TensorSpec
from service.engine.device import Device
from service.engine.onnx_graph import open_graph
from service.engine.padding import bucket, can_be_padded


@pytest.mark.parametrize(
    ("rows", "buckets", "expected"),
    [(1, (1, 4), 1), (2, (1, 4), 4), (4, (1, 4), 4), (5, (1, 4), 8), (12, (1, 4), 12), (7, (), 7)],
)
def test_rows_go_to_the_next_bucket(rows: int, buckets: tuple[int, ...], expected: int) -> None:
    assert bucket(rows, buckets) == expected


def tensor(*shape: int | str) -> TensorSpec:
    return TensorSpec("x", "float32", shape, "", "")


@pytest.mark.parametrize(
    ("inputs", "outputs", "padded"),
    [
        ([("B", 3)], [("B",)], True),
        ([("B", 3), ("S", 2)], [("B", 4)], True),
        ([("B", "T", 3)], [("B", "T")], True),  # T has one size
        ([("B", 3)], [(3,)], False),  # whose mean?
        ([("B", 3)], [()], False),
        ([("B", 3), (3,)], [("B",)], False),
        ([("B", "N")], [("B",)], False),
        ([("B", "B")], [("B",)], False),
    ],
)
def test_rows_are_added_only_where_all_has_rows_and_nothing_else_is_free(
    inputs: list[tuple[int | str, ...]], outputs: list[tuple[int | str, ...]], padded: bool
) -> None:
    found = can_be_padded([tensor(*s) for s in inputs], [tensor(*s) for s in outputs], frozenset("T"))
    assert found is padded


def test_every_graph_that_frames_are_answered_by_can_be_padded() -> None:
    for contract in (MULTIMODAL, RADIO):
        for inputs, outputs in contract.graphs.values():
            assert can_be_padded(inputs, outputs, frozenset("T"))


def test_a_mean_over_the_rows_does_not_count_rows_that_were_added() -> None:
    content = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        mean (float[B, 3] x) => (float[3] mean) <int64[1] rows = {0}> { mean = ReduceMean <keepdims = 0> (x, rows) }"""
    ).SerializeToString()
    specs = (tensor("B", 3),), (TensorSpec("mean", "float32", (3,), "", ""),)
    graph = open_graph("mean", content, specs, Device(), sessions=1, threads=1, buckets=(8,))
    x = np.arange(9, dtype=np.float32).reshape(3, 3) ** 2
    np.testing.assert_allclose(graph.run({"x": x})["mean"], x.mean(axis=0), rtol=1e-6)
