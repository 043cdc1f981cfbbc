from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engine.onnx_engine import OnnxEngine
from service.errors import ArtifactError
from tests.service.engine.generic import write_generic


def test_an_artifact_that_knows_nothing_of_sensing_runs_by_its_manifest_alone(tmp_path: Path) -> None:
    write_generic(tmp_path)
    engine = OnnxEngine.load(tmp_path)
    engine.warm_up()
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    answer = engine.run("model", {"x": x, "picture": np.full((4, 2), 7, np.uint8)})
    np.testing.assert_array_equal(answer["double"], 2 * x)
    np.testing.assert_array_equal(answer["brightness"], np.full(4, 7, np.float32))
    assert (engine.name, engine.manifest.version, engine.manifest.sites) == ("doubler", "1", ())


def test_rows_are_padded_and_taken_off_again(tmp_path: Path) -> None:
    write_generic(tmp_path)
    engine = OnnxEngine.load(tmp_path, buckets=(1, 8), intra_op_threads=1)
    answer = engine.run("model", {"x": np.ones((3, 3), np.float32), "picture": np.ones((3, 2), np.uint8)})
    assert {name: array.shape for name, array in answer.items()} == {"double": (3, 3), "brightness": (3,)}


_X = {"name": "x", "dtype": "float32", "shape": ["B", 3]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graphs": {}}, "graphs: expected the inputs and outputs of one or more graphs, got none"),
        ({"graphs": {"model": {"inputs": [_X]}}}, "graphs.model: expected inputs and outputs"),
        ({"graphs": {"model": {"inputs": [_X], "outputs": []}}}, "graphs.model: expected one or more inputs and outp"),
        ({"graphs": {"model": {"inputs": [{**_X, "dtype": "float"}], "outputs": [_X]}}}, "the name of a NumPy dtype"),
        ({"graphs": {"model": {"inputs": [{**_X, "shape": [0]}], "outputs": [_X]}}}, "sizes or names of free ones"),
        ({"graphs": {"model": {"inputs": [{"name": "x"}], "outputs": [_X]}}}, "a tensor with name, dtype and shape"),
        ({"graphs": {"model": {"inputs": [_X], "outputs": [_X]}}}, "expected the tensors x in this order, got x, pict"),
        ({"files": {"other": "0"}}, r"expected the graphs \['model'\], got \['other'\]"),
        ({"files": {"model": "0"}}, "expected SHA-256 0 as in the manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_generic(tmp_path, **changes)
    with pytest.raises(ArtifactError, match=message):
        OnnxEngine.load(tmp_path)
