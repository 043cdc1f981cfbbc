from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.data import planes
from models.data.planes import LEVELS, Planes, folder_of, main, make, path_of
from models.data.radio_batches import Radio
from models.data.shards import ShardSet
from service.normalizers.csi import csi_planes
from tests.models.data.fake_set import Size, fake_set

HALF_STEP = 1 / 254 + 1e-6


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    return fake_set(tmp_path / "set", plan={"train": 1, "test": 1})


def test_planes_are_those_of_the_stored_measurements(radio: dict[str, Radio]) -> None:
    frames, every = radio["train"].frames, np.arange(len(radio["train"].frames))
    csi = frames.csi(every)
    for band in range(len(frames.bands)):
        found = radio["train"].planes.read(every, np.full(len(every), band))
        assert found.dtype == np.int8
        np.testing.assert_allclose(found / LEVELS, csi_planes(csi[:, band]), rtol=0, atol=HALF_STEP)


def test_rows_are_read_in_the_order_asked_each_at_its_band(radio: dict[str, Radio]) -> None:
    rng = np.random.default_rng(0)
    part = radio["test"]
    rows, bands = rng.integers(0, len(part.frames), 20), rng.integers(0, 3, 20)  # some of them twice
    found = part.planes.read(rows, bands)
    csi = part.frames.csi(rows)[np.arange(20), bands]
    np.testing.assert_allclose(found / LEVELS, csi_planes(csi), rtol=0, atol=HALF_STEP)


def test_bands_may_be_some_in_any_order(radio_folder: Path, radio: dict[str, Radio]) -> None:
    part = radio["val"]
    some = Planes(ShardSet.open(radio_folder), part.frames, [2, 0])
    rows = np.array([3, 0, 11])
    for mine, theirs in ((0, 2), (1, 0)):
        expected = part.planes.read(rows, np.full(3, theirs))
        np.testing.assert_array_equal(some.read(rows, np.full(3, mine)), expected)


def test_what_is_there_is_not_made_again(shards: ShardSet) -> None:
    wanted = [("toy", 0), ("toy", 1)]
    assert make(shards, wanted[:1], workers=1, quiet=True) == 1
    before = path_of(shards, "toy", 0).stat().st_mtime_ns
    assert make(shards, wanted, workers=1, quiet=True) == 1
    assert make(shards, wanted, workers=1, quiet=True) == 0
    assert path_of(shards, "toy", 0).stat().st_mtime_ns == before
    assert sorted(p.name for p in folder_of(shards).iterdir()) == ["toy-00000.npy", "toy-00001.npy"]


def test_another_normalizer_or_set_has_another_folder(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fake_set(tmp_path / "other", plan={"train": 1, "test": 1}, size=Size(snapshots=3))
    mine = folder_of(shards)
    assert folder_of(other) != mine
    monkeypatch.setattr(planes, "NORMALIZER_VERSION", "another")
    assert folder_of(shards) != mine


def test_command_line_makes_every_episode(shards: ShardSet, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", str(shards.folder), "--workers", "1", "--json"]
    for made in (2, 0):
        assert main(arguments) == 0
        assert capsys.readouterr().out.startswith(f"made {made} of 2, in ")
    assert all(path_of(shards, "toy", episode).exists() for episode in shards.episodes("toy"))


def test_set_that_is_missing_or_of_another_version_is_told_in_a_line(
    shards: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = shards.folder / "set.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"schema": 0}))
    for folder in (tmp_path / "nothing", shards.folder):
        assert main(["--set", str(folder), "--json"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "models.data.build" in line
