from __future__ import annotations

import hashlib
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.absent_capture import admit_absent, main
from models.exported import ExportedModel
from models.graphs import export_graphs, random_inputs, with_empty_capture
from models.systems.gated_fusion import GatedFusion
from service.contract.manifest import Manifest, contract_fingerprint

ZOO = Path("models/zoo/gated-fusion")


@pytest.fixture(scope="module")
def graphs() -> ExportedModel:
    return ExportedModel(ZOO)


def _same(got: dict[str, NDArray[np.float32]], expected: dict[str, NDArray[np.float32]]) -> None:
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize(("captures", "frames"), [(0, 1), (0, 9), (1, 4), (3, 16)])
def test_a_frame_without_a_capture_is_encoded_as_with_an_empty_one(
    graphs: ExportedModel, captures: int, frames: int
) -> None:
    inputs = random_inputs("encode", captures, frames, np.random.default_rng(frames))
    inputs["scene_index"][::2] = captures
    _same(graphs.run("encode", inputs), graphs.run("encode", with_empty_capture(inputs)))


def test_a_mask_is_nought_where_there_is_no_capture(graphs: ExportedModel) -> None:
    inputs = random_inputs("encode", 2, 4, np.random.default_rng(5))
    inputs["csi_mask"][:], inputs["scene_mask"][:], inputs["scene_index"][:] = 1, 1, [0, 1, 2, 2]
    gate = graphs.run("encode", inputs)["gate"]
    assert (gate[:2, 1:] > 0).all()
    assert (gate[2:] == [1, 0, 0, 0]).all()


def test_an_artifact_that_fits_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(ZOO, tmp_path / "copy"))
    before = (folder / "encode.onnx").read_bytes()
    assert main([str(folder)]) == 1
    assert "expected an artifact from before" in capsys.readouterr().err
    assert (folder / "encode.onnx").read_bytes() == before


def test_an_artifact_from_before_is_rewritten_and_its_manifest_with_it(
    tmp_path: Path, model: GatedFusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(ZOO, tmp_path / "old"))
    with monkeypatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter calls what torch has deprecated
        patched.setattr("models.graphs.admit_absent", lambda path: None)
        export_graphs(model, folder)
    replace(Manifest.load(folder), fingerprint="of before").save(folder)
    inputs = random_inputs("encode", 3, 7, np.random.default_rng(1))
    inputs["scene_index"][[0, 4]] = 3
    expected = ExportedModel(folder).run("encode", with_empty_capture(inputs))
    assert main([str(folder)]) == 0
    _same(ExportedModel(folder).run("encode", inputs), expected)
    rewritten = Manifest.load(folder)
    assert rewritten.fingerprint == contract_fingerprint()
    assert rewritten.files["encode"] == hashlib.sha256((folder / "encode.onnx").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="not rewritten before"):
        admit_absent(folder / "encode.onnx")


def test_a_graph_that_reads_nothing_by_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fuse.onnx"
    shutil.copy(ZOO / "fuse.onnx", path)
    with pytest.raises(ValueError, match="reads captures by scene_index"):
        admit_absent(path)
