from __future__ import annotations

import numpy as np
import pytest

from models.data.measured.samples import Samples, join


def _samples(part: str, first: int, count: int) -> Samples:
    number = np.arange(first, first + count)
    points = [np.full((i % 3, 2), i, np.float32) for i in number]
    return Samples(
        part, {"csi": number * 1.0, "radar": points}, {"activity": number}, np.array([f"g{i}" for i in number])
    )


def test_pick_takes_the_same_samples_of_everything() -> None:
    picked = _samples("train", 10, 5).pick(np.array([3, 0]), "val")
    assert picked.part == "val"
    assert picked.labels["activity"].tolist() == picked.inputs["csi"].tolist() == [13, 10]
    assert [points.shape[0] for points in picked.inputs["radar"]] == [1, 1]
    assert [points[0, 0] for points in picked.inputs["radar"]] == [13, 10]
    assert picked.group.tolist() == ["g13", "g10"]
    assert _samples("train", 0, 4).pick(np.array([False, True, True, False]), "x").group.tolist() == ["g1", "g2"]


def test_join_keeps_the_order_of_the_parts() -> None:
    both = join(_samples("train", 0, 3), _samples("val", 7, 2))
    assert both.part == "train+val"
    assert len(both) == 5
    assert both.labels["activity"].tolist() == both.inputs["csi"].tolist() == [0, 1, 2, 7, 8]
    assert [len(points) for points in both.inputs["radar"]] == [0, 1, 2, 1, 2]
    assert both.group.tolist() == ["g0", "g1", "g2", "g7", "g8"]


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="test activity: expected 3 samples, got 2"):
        Samples("test", {"csi": np.zeros(3)}, {"activity": np.zeros(2)}, np.array(["a", "b", "c"]))
