from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.measured import geotec
from models.data.measured.files import BadFile
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import geotec_arrays, write_geotec

TESTS = ("test-d1", "test-d2", "test-d3", "test-d4")


def test_parts_are_the_executions_of_the_authors(tmp_path: Path) -> None:
    write_geotec(tmp_path)
    groups = {part: sorted(set(geotec.SET.load(tmp_path, part).group.tolist())) for part in geotec.SET.parts}
    executions = [f"e{number:02d}_{way}" for number in range(1, 11) for way in ("rx_tx", "tx_rx")]
    assert groups["train"] + groups["val"] == [f"D1/{name}" for name in executions[:16]]
    assert groups["val"] == [f"D1/{name}" for name in executions[12:16]]
    assert groups["test-d1"] == [f"D1/{name}" for name in executions[16:]]
    for number in (2, 3, 4):
        assert groups[f"test-d{number}"] == [f"D{number}/{name}" for name in executions[:4]]


def test_windows_keep_their_labels_and_order(tmp_path: Path) -> None:
    write_geotec(tmp_path)
    val = geotec.SET.load(tmp_path, "val")
    window = val.inputs["csi"][:, 0, 0]
    assert window.tolist() == list(range(36, 48))
    assert val.labels["activity"].tolist() == [i % 10 for i in range(36, 48)]


def test_strange_label_and_missing_execution_are_named(tmp_path: Path) -> None:
    arrays = geotec_arrays()
    np.savez(
        tmp_path / "windows_f32.npz", **{**arrays, "y": np.where(arrays["y"] == "TURN_RX", "JUMP_RX", arrays["y"])}
    )
    with pytest.raises(BadFile, match=r"windows_f32\.npz: expected labels of .*got JUMP_RX"):
        geotec.SET.load(tmp_path, "train")
    np.savez(tmp_path / "windows_f32.npz", **{name: values[:-12] for name, values in arrays.items()})
    with pytest.raises(BadFile, match=r"expected windows of D4 e01_rx_tx, .*got none"):
        geotec.SET.load(tmp_path, "test-d4")


def test_real_windows_are_those_of_the_authors_reports() -> None:
    root = measured("geotec_csi_har")
    count = {part: len(geotec.SET.load(root, part)) for part in geotec.SET.parts}
    assert count["train"] + count["val"] == 404
    assert [count[part] for part in TESTS] == [101, 104, 102, 98]
    # The rows of the authors' confusion matrix for the rest of D1, in their order of classes.
    support = np.bincount(geotec.SET.load(root, "test-d1").labels["activity"], minlength=10)
    assert support.tolist() == [15, 7, 14, 5, 9, 14, 7, 17, 4, 9]
