from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsRegressor

from models.data.measured import csu
from models.data.measured.files import BadFile
from models.data.measured.samples import MeasuredSet, Samples, join
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


Features = Callable[[NDArray[np.complex64]], NDArray[np.float32]]


def _normalised(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    amplitude = np.abs(csi)
    return amplitude / np.linalg.norm(amplitude, axis=1, keepdims=True)


def _error_m(each: MeasuredSet, root: Path, features: Features) -> tuple[float, float]:
    """Mean and median error of kNN-20, walk by walk."""
    train = join(each.load(root, "train"), each.load(root, "val"))
    test = each.load(root, "test")
    errors = [_walk(train, test, walk, features) for walk in range(5)]
    return float(np.concatenate(errors).mean()), float(np.median(np.concatenate(errors)))


def _walk(train: Samples, test: Samples, walk: int, features: Features) -> NDArray[np.float64]:
    known, asked = (samples.pick(samples.labels["path"] == walk, samples.part) for samples in (train, test))
    knn = KNeighborsRegressor(20).fit(features(known.inputs["csi"]), known.labels["position"])
    return np.linalg.norm(knn.predict(features(asked.inputs["csi"])) - asked.labels["position"], axis=1)


def test_real_set_has_the_places_that_its_readme_counts() -> None:
    root = measured("csu_csi")
    ref = join(HONEST.load(root, "train"), HONEST.load(root, "val"))
    test = HONEST.load(root, "test")
    assert (len(ref), len(set(ref.group.tolist()))) == (54_000, 180)
    assert (len(test), len(set(test.group.tolist()))) == (16_400, 164)


def test_real_unused_subcarriers_name_the_place_without_any_radio() -> None:
    root = measured("csu_csi")
    ref = join(PUBLISHED.load(root, "train"), PUBLISHED.load(root, "val"))
    values = ref.inputs["csi"][:, csu.UNUSED[0]]
    assert all(len(set(values[ref.group == name].tolist())) == 1 for name in set(ref.group.tolist()))
    assert len(set(values.tolist())) > 20
    test = PUBLISHED.load(root, "test")
    errors = [_walk_without_radio(ref, test, walk) for walk in range(5)]
    error_m = np.concatenate(errors)
    assert (error_m.mean(), np.median(error_m)) == pytest.approx((2.28, 1.60), abs=0.02)


def _walk_without_radio(ref: Samples, test: Samples, walk: int) -> NDArray[np.float64]:
    """Errors where the answer is the middle of all places of the walk whose unused values are nearest."""
    known = ref.pick(np.flatnonzero(ref.labels["path"] == walk)[::300], "ref")  # a packet of each recording
    asked = test.pick(test.labels["path"] == walk, "test")
    one, other = (samples.inputs["csi"][:, list(csu.UNUSED)] for samples in (known, asked))
    distance = np.linalg.norm(np.abs(other)[:, None] - np.abs(one), axis=-1)
    nearest = distance <= distance.min(1, keepdims=True) + 1e-3
    answer = (nearest[..., None] * known.labels["position"]).sum(1) / nearest.sum(1, keepdims=True)
    return np.linalg.norm(answer - asked.labels["position"], axis=1)


def test_real_neighbours_err_as_the_card_says() -> None:
    root = measured("csu_csi")
    assert _error_m(PUBLISHED, root, _normalised) == pytest.approx((2.52, 1.41), abs=0.02)
    assert _error_m(HONEST, root, _normalised) == pytest.approx((9.19, 8.15), abs=0.02)
