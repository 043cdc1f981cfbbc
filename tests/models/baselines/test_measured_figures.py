from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.baselines.measured_figures import (
    DEEPSENSE_RUNS,
    FIGURES,
    Forests,
    Result,
    nearest_beam_accuracy,
    nearest_packets,
    nearest_unused,
)
from models.data.measured import csu, deepsense, geotec
from models.data.measured.samples import Samples
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import (
    DRIVES,
    PER_DRIVE,
    csu_arrays,
    deepsense_arrays,
    geotec_arrays,
    write_csu,
    write_deepsense,
    write_geotec,
    write_radhar,
)

FEW = Forests(activity_trees=30, position_trees=3)


def _csi(csi: NDArray[np.complexfloating], x: list[float], group: list[str]) -> Samples:
    position = np.column_stack([x, np.zeros(len(x))]).astype(np.float32)
    return Samples("ref", {"csi": csi.astype(np.complex64)}, {"position": position}, np.array(group))


def test_neighbours_are_alike_in_amplitude_whatever_power_and_phase() -> None:
    rng = np.random.default_rng(0)
    here, there = rng.normal(size=(2, csu.SUBCARRIERS))
    turn = np.exp(1j * rng.uniform(0, 6, (40, csu.SUBCARRIERS))) * rng.uniform(0.1, 10, (40, 1))
    known = _csi(np.repeat([here, there], 20, axis=0) * turn, [*range(20), *range(100, 120)], ["a"] * 40)
    asked = _csi(np.stack([there, here]) * turn[:2], [0, 0], ["b"] * 2)
    np.testing.assert_allclose(nearest_packets(known, asked), [[109.5, 0], [9.5, 0]])


def test_without_radio_the_answer_is_the_middle_of_the_places_with_the_nearest_values() -> None:
    rng = np.random.default_rng(0)
    csi = rng.normal(size=(5, csu.SUBCARRIERS)) + 0j
    csi[:, list(csu.UNUSED)] = np.array([1, 1, 1, 1, 9])[:, None]
    known = _csi(csi, [0, 0, 0, 8, 50], ["a", "a", "a", "b", "c"])  # three packets of place a, one of b
    np.testing.assert_allclose(nearest_unused(known, known), [[4, 0]] * 4 + [[50, 0]])


def test_walks_are_answered_by_themselves(tmp_path: Path) -> None:
    walks = np.repeat(np.array([1, 2], np.uint8), 20)
    arrays = {"csi": np.ones((40, 64, 2), np.int16), "rssi": np.zeros(40, np.int8), "path": walks}
    xy = np.column_stack([100.0 * walks, 0 * walks]).astype(np.float32)
    np.savez(
        tmp_path / "csu_300_i16.npz",
        **{f"{name}_{half}": values for name, values in arrays.items() for half in ("ref", "test")},
        xy_ref=xy,
        xy_test=xy + np.array([0, 3], np.float32),
        loc_ref=walks.astype(str),
        loc_test=walks.astype(str),
    )
    for name in ("csu-csi", "csu-csi-as-published"):
        for result in FIGURES[name](tmp_path, FEW):
            assert result.values == {"mean": (pytest.approx(3),), "median": (pytest.approx(3),)}


def test_only_the_published_figures_know_the_unused_subcarriers(tmp_path: Path) -> None:
    write_csu(tmp_path)
    before = {name: FIGURES[name](tmp_path, FEW) for name in ("csu-csi", "csu-csi-as-published")}
    assert before["csu-csi-as-published"][1].values == {"mean": (pytest.approx(0.5),), "median": (pytest.approx(0.5),)}
    arrays = csu_arrays()
    arrays["csi_test"][:, list(csu.UNUSED)] = 9000
    np.savez(tmp_path / "csu_300_i16.npz", **arrays)
    assert FIGURES["csu-csi"](tmp_path, FEW) == before["csu-csi"]
    published = FIGURES["csu-csi-as-published"](tmp_path, FEW)
    assert all(now.values != then.values for now, then in zip(published, before["csu-csi-as-published"], strict=True))


def test_geotec_is_told_for_each_later_data_set_by_itself(tmp_path: Path) -> None:
    write_geotec(tmp_path)
    arrays = geotec_arrays()
    told = np.array([geotec.CLASSES.index(name) for name in arrays["y"].tolist()])
    told[arrays["dataset"] == 4] += 1  # another activity's windows
    x = np.ones_like(arrays["x"]) * (told % 10)[:, None, None].astype(np.float32)
    np.savez(tmp_path / "windows_f32.npz", **{**arrays, "x": x})
    (result,) = FIGURES["geotec-csi"](tmp_path, FEW)
    assert result.values == {"D1": (1, 1, 1), "D2": (1, 1, 1), "D3": (1, 1, 1), "D4": (0, 0, 0)}


def test_radhar_is_told_by_speed(tmp_path: Path) -> None:
    write_radhar(tmp_path)
    path = tmp_path / "radhar_points_f16.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["points"][:, 3] = arrays["y"][arrays["file_id"]]
    np.savez(path, **arrays)
    (result,) = FIGURES["radhar"](tmp_path, FEW)
    assert result.values == {"trained on train and val": (1, 1, 1), "trained on train": (1, 1, 1)}


def _line(x: list[float], y: list[float], beam: list[int]) -> Samples:
    gps = np.column_stack([x, y])
    return Samples("all", {"gps": gps}, {"beam": np.array(beam)}, np.array(["s1/1"] * len(x)))


def _split(test: int, count: int) -> dict[str, NDArray[np.int64]]:
    known = np.setdiff1d(np.arange(count), [test])
    return {"train": known[1:], "val": known[:1], "test": np.array([test])}


@pytest.mark.parametrize(("k", "answer"), [(1, 5), (2, 9), (3, 5), (4, 9), (50, 9)])
def test_most_frequent_beam_wins_and_of_equals_the_highest(k: int, answer: int) -> None:
    for truth in (5, 9):
        samples = _line([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [truth, 5, 9, 5, 9])
        assert nearest_beam_accuracy(samples, _split(0, 5), k) == (truth == answer)


def test_both_coordinates_count_alike() -> None:
    samples = _line([0, 10, 0, 100], [0, 0, 0.5, 1], [7, 7, 8, 8])  # a tenth of one range, half of the other
    assert nearest_beam_accuracy(samples, _split(0, 4), 1) == 1


def test_samples_of_the_test_are_not_among_the_neighbours(tmp_path: Path) -> None:
    write_deepsense(tmp_path)  # no beam comes twice in a scenario
    (result,) = FIGURES["deepsense-random"](tmp_path, FEW)
    assert result.seeds == DEEPSENSE_RUNS
    assert result.values == {f"scenario {number}": (0,) * 5 for number in deepsense.SCENARIOS}


def test_error_on_unseen_drives_is_in_metres(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    arrays = deepsense_arrays()
    first = np.arange(DRIVES * PER_DRIVE) % PER_DRIVE  # every drive repeats the first,
    tested = np.arange(DRIVES * PER_DRIVE) // PER_DRIVE % 5 == 4
    for name in arrays:
        if name.endswith(("power", "ue_latlon", "ue_latlon_calibrated")):
            arrays[name] = arrays[name][first]
        if name.endswith(("ue_latlon", "ue_latlon_calibrated")):
            arrays[name][tested, 0] += 2 / 110_911  # those of the test two metres further north
    np.savez(tmp_path / "beams.npz", **arrays)
    (result,) = FIGURES["deepsense-drives"](tmp_path, FEW)
    assert list(result.values) == [f"scenario {number}" for number in deepsense.SCENARIOS]
    assert all(values == pytest.approx([2, 2, 2], abs=0.01) for values in result.values.values())


def test_spread_is_that_of_a_sample_and_none_of_a_single_run() -> None:
    result = Result("radhar", "", "", "", 2, (0, 1, 2), {"some": (1.0, 2.0, 3.0), "one": (4.0,)})
    assert (result.mean("some"), result.std("some")) == (2.0, 1.0)
    assert (result.mean("one"), result.std("one")) == (4.0, None)


def test_real_beam_falls_with_the_neighbours_as_published() -> None:
    samples = deepsense.read_scenario(measured("deepsense_beams"), 5)
    splits = (deepsense.random_split(len(samples), run) for run in DEEPSENSE_RUNS)
    accuracy = [nearest_beam_accuracy(samples, split, 9) for split in splits]
    assert 100 * np.mean(accuracy) == pytest.approx(45.19, abs=2.0)
