from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.measured import radhar
from models.data.measured.files import BadFile
from models.data.measured.radhar import Recording, by_part, load
from service.contract.captures import RADAR_COLUMNS
from service.contract.labels import ACTIVITIES
from tests.models.data.measured.shared import measured
from tests.models.radhar_files import each_file, points, text, write_original

FILES = {"Train": 14, "Test": 3}  # of each activity


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in the layout of its authors."""
    root = tmp_path_factory.mktemp("original")
    write_original(root, 85, FILES)
    return root


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same set, repacked, its files in another order."""
    root = tmp_path_factory.mktemp("packed")
    files = sorted(each_file(FILES), key=lambda file: file[2])
    parts = [points(85, seed) for _, _, _, seed in files]
    mixed = np.random.default_rng(0).permutation(len(files))
    _save(
        root,
        points=np.concatenate([parts[i][1] for i in mixed]).astype(np.float16),
        frame=np.concatenate([parts[i][0] for i in mixed]).astype(np.int32),
        file_id=np.concatenate([np.full(len(parts[i][0]), i) for i in mixed]).astype(np.int16),
        names=np.array([name for _, _, name, _ in files]),
        split=np.array([split for split, _, _, _ in files]),
        y=np.array([ACTIVITIES.index(activity) for _, activity, _, _ in files], np.uint8),
        classes=np.array(ACTIVITIES),
    )
    return root


def _save(root: Path, **arrays: NDArray[np.generic]) -> None:
    np.savez(root / "radhar_points_f16.npz", **arrays)


def _named(recordings: list[Recording], name: str) -> Recording:
    return next(r for r in recordings if r.name == name)


def test_text_of_the_authors_is_read_point_by_point(original: Path) -> None:
    found = _named(load(original), "Data/Train/jump/03.txt")
    frame, columns = points(85, 203)
    assert found.activity == ACTIVITIES.index("jump")
    assert found.points.shape == (len(frame), RADAR_COLUMNS)
    np.testing.assert_allclose(found.points[:, 0], frame / 30, atol=1e-5)
    np.testing.assert_array_equal(found.points[:, 1:], columns)
    np.testing.assert_array_equal(found.starts, np.searchsorted(frame, np.arange(86)))


def test_both_layouts_give_the_same_recordings(original: Path, packed: Path) -> None:
    first = sorted(load(original), key=lambda r: r.name)
    second = sorted(load(packed), key=lambda r: r.name)
    assert len(first) == len(second) == 5 * 17
    for a, b in zip(first, second, strict=True):
        assert (a.name, a.activity, a.part) == (b.name, b.activity, b.part)
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.starts, b.starts)


def test_split_is_by_file_and_validation_is_even_over_the_activities(original: Path) -> None:
    recordings = load(original)
    count = {
        (part, activity): sum(r.part == part and r.activity == activity for r in recordings)
        for part in ("train", "val", "test")
        for activity in range(5)
    }
    assert {count["train", a] for a in range(5)} == {12}
    assert {count["val", a] for a in range(5)} == {2}
    assert {count["test", a] for a in range(5)} == {3}
    assert all(("Test" in r.name) == (r.part == "test") for r in recordings)


def test_parts_are_empty_without_a_folder_and_complete_with_one(original: Path) -> None:
    assert by_part(None) == {"train": [], "val": [], "test": []}
    assert {part: len(found) for part, found in by_part(original).items()} == {"train": 60, "val": 10, "test": 15}


def test_windows_are_the_published_ones(original: Path) -> None:
    found = _named(load(original), "Data/Test/walk/00.txt")
    frame, columns = points(85, 420)
    assert found.windows == 3  # frames 0 to 59, 10 to 69, 20 to 79; 30 to 89 is not complete
    for index in range(3):
        inside = (frame >= 10 * index) & (frame < 10 * index + 60)
        window = found.window(index)
        np.testing.assert_array_equal(window[:, 1:], columns[inside])
        np.testing.assert_allclose(window[:, 0], (frame[inside] - 10 * index) / 30, atol=1e-5)
        assert window[:, 0].min() >= 0
        assert window[:, 0].max() < radhar.SITE.radar_window_s


@pytest.mark.parametrize(("frames", "windows"), [(59, 0), (60, 1), (69, 1), (70, 2)])
def test_window_needs_all_of_its_frames(tmp_path: Path, frames: int, windows: int) -> None:
    path = tmp_path / "Data" / "Train" / "walk" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text(text(*points(frames, 0)))
    assert load(tmp_path)[0].windows == windows


def test_frame_cut_off_at_the_start_of_a_file_is_in_no_window(tmp_path: Path) -> None:
    frame, columns = points(61, 0)
    path = tmp_path / "Data" / "Train" / "walk" / "a.txt"
    path.parent.mkdir(parents=True)
    whole = text(frame, columns)
    path.write_text(whole[whole.index("header", 1) :])  # from the second point of the first frame on
    found = load(tmp_path)[0]
    assert found.windows == 1
    np.testing.assert_array_equal(found.window(0)[:, 1:], columns[(frame >= 1) & (frame < 61)])


def test_window_is_a_copy(original: Path) -> None:
    found = load(original)[0]
    before = found.points.copy()
    found.window(1)[:] = 0
    np.testing.assert_array_equal(found.points, before)


def test_folder_without_the_set_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"radhar_points_f16\.npz or Data/.*github"):
        load(tmp_path)


def test_other_classes_are_refused(tmp_path: Path) -> None:
    names = np.array(["a"])
    _save(
        tmp_path,
        points=np.zeros((1, 5), np.float16),
        frame=np.zeros(1, np.int32),
        file_id=np.zeros(1, np.int16),
        names=names,
        split=np.array(["Train"]),
        y=np.zeros(1, np.uint8),
        classes=np.array(ACTIVITIES[::-1]),
    )
    with pytest.raises(ValueError, match="expected classes"):
        load(tmp_path)


def test_samples_are_the_windows_of_a_part(packed: Path) -> None:
    val = radhar.SET.load(packed, "val")
    recordings = by_part(packed)["val"]
    assert len(val) == sum(recording.windows for recording in recordings) == 30
    assert val.group.tolist() == [recording.name for recording in recordings for _ in range(3)]
    assert val.labels["activity"].tolist() == [recording.activity for recording in recordings for _ in range(3)]
    np.testing.assert_array_equal(val.inputs["radar"][4], recordings[1].window(1))


def test_short_archive_is_named(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "radhar_points_f16.npz"
    path.write_bytes((packed / path.name).read_bytes()[:-100])
    with pytest.raises(BadFile, match=r"radhar_points_f16\.npz: expected a NumPy archive"):
        radhar.SET.load(tmp_path, "test")


@pytest.fixture(scope="module")
def real() -> list[Recording]:
    return load(measured("radhar"))


def test_real_set_has_the_windows_that_its_readme_counts(real: list[Recording]) -> None:
    windows = {part: sum(r.windows for r in real if r.part == part) for part in ("train", "val", "test")}
    assert windows["train"] + windows["val"] == 7198
    assert windows["test"] == 3022
    assert 0.1 < windows["val"] / 7198 < 0.2
    assert {r.activity for r in real if r.part == "val"} == set(range(5))


def test_real_set_fits_the_axes_of_its_site(real: list[Recording]) -> None:
    points = np.concatenate([r.points for r in real])
    assert np.isfinite(points).all()
    assert (points[:, 1] > 0).mean() > 0.99  # in front of the radar
    assert (np.linalg.norm(points[:, 1:4], axis=1) < radhar.SITE.range_max_m).mean() > 0.8
    assert (np.abs(points[:, 4]) < radhar.SITE.velocity_max_mps).mean() > 0.95
    assert len({r.name for r in real}) == len(real)
