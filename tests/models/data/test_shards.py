from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from models.data.shards import SettingsMismatch, ShardSet, ragged

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, -2], np.int8)}


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    made = ShardSet(tmp_path / "set", {"seed": 1, "layout": "toy"})
    made.create()
    return made


def test_shard_reads_back_as_it_was_written(shards: ShardSet) -> None:
    shards.write(3, {**ARRAYS, "strided": ARRAYS["a"].T})
    found = shards.read(3)
    assert set(found) == {"a", "b", "strided"}
    for name, expected in {**ARRAYS, "strided": ARRAYS["a"].T}.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
    assert set(shards.read(3, ["b"])) == {"b"}


def test_same_arrays_give_the_same_bytes(shards: ShardSet) -> None:
    for episode in range(10):
        shards.write(episode, ARRAYS if episode % 2 else dict(reversed(ARRAYS.items())))
    assert len({shards.path(episode).read_bytes() for episode in range(10)}) == 1


def test_episodes_are_those_that_are_whole(shards: ShardSet) -> None:
    for episode in (11, 2):
        shards.write(episode, ARRAYS)
    shards.path(5).with_suffix(".tmp-123").write_bytes(b"cut off")  # what a killed build leaves behind
    assert shards.episodes() == [2, 11]


def test_write_that_fails_leaves_nothing_new_and_nothing_broken(shards: ShardSet) -> None:
    shards.write(0, ARRAYS)
    before = shards.path(0).read_bytes()
    for episode in (0, 1):
        with pytest.raises((SafetensorError, KeyError, ValueError, TypeError)):
            shards.write(episode, {"a": np.array([object()])})
    assert shards.path(0).read_bytes() == before
    assert shards.episodes() == [0]


def test_build_joins_a_set_of_the_same_settings(shards: ShardSet) -> None:
    shards.write(0, ARRAYS)
    again = ShardSet(shards.folder, {"layout": "toy", "seed": 1})
    again.create()
    assert again.fingerprint == shards.fingerprint
    np.testing.assert_array_equal(again.read(0)["a"], ARRAYS["a"])


def test_build_refuses_a_set_of_other_settings_and_leaves_it_alone(shards: ShardSet) -> None:
    before = (shards.folder / "set.json").read_bytes()
    other = ShardSet(shards.folder, {"seed": 2, "layout": "toy"})
    with pytest.raises(SettingsMismatch) as refusal:
        other.create()
    for part in (other.fingerprint, shards.fingerprint, "--out"):
        assert part in str(refusal.value)
    assert (shards.folder / "set.json").read_bytes() == before


def test_stray_shard_is_refused(shards: ShardSet, tmp_path: Path) -> None:
    other = ShardSet(tmp_path / "other", {"seed": 2, "layout": "toy"})
    other.create()
    other.write(7, ARRAYS)
    shards.path(7).write_bytes(other.path(7).read_bytes())
    with pytest.raises(SettingsMismatch, match=shards.fingerprint):
        shards.read(7)


def test_set_is_opened_from_its_folder_alone(shards: ShardSet) -> None:
    assert ShardSet.open(shards.folder) == shards
    described = json.loads((shards.folder / "set.json").read_text())
    assert described["fingerprint"] == shards.fingerprint


def test_folder_without_a_set_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"models\.data\.build"):
        ShardSet.open(tmp_path)


def test_ragged_parts_can_be_told_apart_even_when_empty() -> None:
    parts = [np.ones((2, 3)), np.empty((0, 3)), np.zeros((1, 3))]
    whole, offsets = ragged(parts)
    assert offsets.tolist() == [0, 2, 2, 3]
    for part, low, high in zip(parts, offsets[:-1], offsets[1:], strict=True):
        np.testing.assert_array_equal(whole[low:high], part)
