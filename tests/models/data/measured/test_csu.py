from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.measured import csu
from models.data.measured.files import BadFile
from models.data.measured.samples import join
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import PACKETS, REF_PLACES, TEST_PLACES, csu_arrays, write_csu

HONEST, PUBLISHED = csu.SETS


def test_ref_trains_and_test_tests(tmp_path: Path) -> None:
    write_csu(tmp_path)
    parts = {part: HONEST.load(tmp_path, part) for part in HONEST.parts}
    assert {part: len(samples) for part, samples in parts.items()} == {
        "train": PACKETS * (REF_PLACES - 2), "val": PACKETS * 2, "test": PACKETS * TEST_PLACES,
    }  # fmt: skip
    assert set(parts["val"].group.tolist()) == {"ref/path 1/203_1", "ref/path 1/209_1"}  # the 4th and the 10th of 13
    assert {name.split("/")[0] for name in parts["train"].group.tolist()} == {"ref"}
    assert {name.split("/")[0] for name in parts["test"].group.tolist()} == {"test"}


def test_packets_keep_their_place_walk_and_power(tmp_path: Path) -> None:
    write_csu(tmp_path)
    val, train = HONEST.load(tmp_path, "val"), HONEST.load(tmp_path, "train")
    np.testing.assert_array_equal(val.labels["position"][:, 0], np.repeat([3.0, 9.0], PACKETS))
    np.testing.assert_array_equal(val.inputs["rssi"], np.repeat([-53.0, -59.0], PACKETS))
    assert set(val.labels["path"].tolist()) == {0}
    assert train.labels["path"].tolist()[-2 * PACKETS :] == [1] * 2 * PACKETS


def test_levels_are_real_and_imaginary_parts(tmp_path: Path) -> None:
    write_csu(tmp_path)
    raw = csu_arrays()["csi_test"].astype(np.float32)
    csi = PUBLISHED.load(tmp_path, "test").inputs["csi"]
    np.testing.assert_array_equal(csi, raw[..., 0] + 1j * raw[..., 1])


def test_unused_subcarriers_are_zero_unless_as_published(tmp_path: Path) -> None:
    write_csu(tmp_path)
    honest, published = (each.load(tmp_path, "train").inputs["csi"] for each in (HONEST, PUBLISHED))
    unused = list(csu.UNUSED)
    assert not honest[:, unused].any()
    assert published[:, unused].all()
    used = np.setdiff1d(np.arange(csu.SUBCARRIERS), unused)
    np.testing.assert_array_equal(honest[:, used], published[:, used])


def test_array_of_another_length_is_named(tmp_path: Path) -> None:
    arrays = csu_arrays()
    np.savez(tmp_path / "csu_300_i16.npz", **{**arrays, "xy_test": arrays["xy_test"][1:]})
    with pytest.raises(
        BadFile, match=r"csu_300_i16\.npz: expected xy_test to have shape \[packets, 2\] with packets = 12"
    ):
        HONEST.load(tmp_path, "test")
    assert len(HONEST.load(tmp_path, "train")) == PACKETS * (REF_PLACES - 2)


def test_real_set_has_the_places_that_its_readme_counts() -> None:
    root = measured("csu_csi")
    ref = join(HONEST.load(root, "train"), HONEST.load(root, "val"))
    test = HONEST.load(root, "test")
    assert (len(ref), len(set(ref.group.tolist()))) == (54_000, 180)
    assert (len(test), len(set(test.group.tolist()))) == (16_400, 164)


def test_real_unused_subcarriers_hardly_change_over_a_recording_and_tell_some_apart() -> None:
    root = measured("csu_csi")
    for parts in (("train", "val"), ("test",)):
        samples = join(*(PUBLISHED.load(root, part) for part in parts))
        values = samples.inputs["csi"][:, list(csu.UNUSED)]
        _, first, recording = np.unique(samples.group, return_index=True, return_inverse=True)
        assert (values == values[first][recording]).mean(0).min() > 0.98
        assert len(set(values[:, 0].tolist())) > 20
