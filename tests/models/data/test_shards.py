from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.data.recipe import RECIPES, settings
from models.data.schema import COLUMNS, Arrays, SchemaError
from models.data.shards import SettingsMismatch, ShardSet, ragged, replace_file
from tests.models.data.fake_recorder import FakeRecorder, random_arrays

RECIPE = RECIPES["sample"]
SPLITS: dict[str, object] = {"held-out-trajectories": {"test": {"purpose": "test", "sites": ["munich"]}}}


def _arrays(seed: int = 0) -> Arrays:
    return random_arrays(np.random.default_rng(seed))


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    made = ShardSet(tmp_path / "set", settings(RECIPE), SPLITS)
    made.create()
    return made


def test_shard_reads_back_as_it_was_written(shards: ShardSet) -> None:
    arrays = _arrays()
    arrays["ue_position_m"] = np.asfortranarray(arrays["ue_position_m"])
    shards.write("munich", 3, arrays)
    found = shards.read("munich", 3)
    assert set(found) == set(COLUMNS)
    for name, expected in arrays.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_named_columns_are_read_without_the_rest(shards: ShardSet) -> None:
    shards.write("munich", 3, _arrays())
    found = shards.read("munich", 3, ["blocker", "distance_m"])
    assert set(found) == {"blocker", "distance_m"}


def test_shard_without_a_single_path_or_detection_is_kept(shards: ShardSet) -> None:
    arrays = _arrays()
    for name, column in COLUMNS.items():
        if column.dims[0] in ("P", "D"):
            arrays[name] = arrays[name][:0]
    arrays["path_offset"][:] = arrays["radar_offset"][:] = 0
    shards.write("munich", 0, arrays)
    assert shards.read("munich", 0)["path_vertex_m"].shape == (0, 4, 3)


def test_same_arrays_give_the_same_bytes(shards: ShardSet) -> None:
    for episode in range(10):
        shards.write("munich", episode, _arrays() if episode % 2 else dict(reversed(_arrays().items())))
    assert len({shards.path("munich", episode).read_bytes() for episode in range(10)}) == 1


def test_shard_that_breaks_the_schema_is_not_written(shards: ShardSet) -> None:
    shards.write("munich", 0, _arrays())
    before = shards.path("munich", 0).read_bytes()
    for episode in (0, 1):
        with pytest.raises(SchemaError, match="blocker"):
            shards.write("munich", episode, {**_arrays(), "blocker": np.zeros((3, 2))})
    assert shards.path("munich", 0).read_bytes() == before
    assert shards.episodes("munich") == [0]


def test_ground_reads_back_and_is_checked(shards: ShardSet) -> None:
    ground = FakeRecorder("munich", RECIPE).ground()
    shards.write_ground("munich", ground)
    for name, expected in ground.items():
        np.testing.assert_array_equal(shards.ground("munich")[name], expected)
    for wrong in ({"zone": ground["zone"].astype(np.int32)}, {"zone": ground["zone"][0]}, {"grass": ground["zone"]}):
        with pytest.raises(SchemaError, match=next(iter(wrong))):
            shards.write_ground("munich", ground | wrong)


def test_episodes_are_those_of_the_site_that_are_whole(shards: ShardSet) -> None:
    for site, episode in (("munich", 11), ("munich", 2), ("munich-west", 4)):
        shards.write(site, episode, _arrays())
    shards.write_ground("munich", FakeRecorder("munich", RECIPE).ground())
    (shards.folder / "munich-00005.safetensors.tmp-123").write_bytes(b"cut off")  # what a killed build leaves behind
    assert shards.episodes("munich") == [2, 11]
    assert shards.episodes("munich-west") == [4]


def test_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    replace_file(path, b"old")
    with pytest.raises(TypeError):
        replace_file(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_build_joins_a_set_of_the_same_settings(shards: ShardSet) -> None:
    shards.write("munich", 0, _arrays())
    again = ShardSet(shards.folder, dict(reversed(settings(RECIPE).items())), SPLITS)
    again.create()
    assert again.fingerprint == shards.fingerprint
    np.testing.assert_array_equal(again.read("munich", 0)["pose"], _arrays()["pose"])


def test_build_refuses_a_set_of_other_settings_and_leaves_it_alone(shards: ShardSet) -> None:
    before = (shards.folder / "set.json").read_bytes()
    other = ShardSet(shards.folder, settings(RECIPES["small"]), SPLITS)
    with pytest.raises(SettingsMismatch) as refusal:
        other.create()
    for part in (other.fingerprint, shards.fingerprint, "--out"):
        assert part in str(refusal.value)
    assert (shards.folder / "set.json").read_bytes() == before


def test_splits_of_a_set_do_not_change_unnoticed(shards: ShardSet) -> None:
    other = ShardSet(shards.folder, settings(RECIPE), {})
    assert other.fingerprint == shards.fingerprint
    with pytest.raises(SettingsMismatch, match="splits"):
        other.create()
    assert ShardSet.open(shards.folder).splits == SPLITS


def test_stray_shard_is_refused(shards: ShardSet, tmp_path: Path) -> None:
    other = ShardSet(tmp_path / "other", settings(RECIPES["small"]))
    other.create()
    other.write("munich", 7, _arrays())
    shards.path("munich", 7).write_bytes(other.path("munich", 7).read_bytes())
    with pytest.raises(SettingsMismatch, match=shards.fingerprint):
        shards.read("munich", 7)


def test_set_is_opened_from_its_folder_alone(shards: ShardSet) -> None:
    found = ShardSet.open(shards.folder)
    assert found.fingerprint == shards.fingerprint
    assert (found.recipe, found.splits) == (RECIPE, SPLITS)
    assert found.site("munich").name == "munich"


def test_provenance_names_each_maker_once(shards: ShardSet) -> None:
    for maker in ("a", "b", "a"):
        shards.note_provenance({"commit": maker})
    described = json.loads((shards.folder / "set.json").read_text())
    assert described["provenance"] == [{"commit": "a"}, {"commit": "b"}]
    assert ShardSet.open(shards.folder).fingerprint == shards.fingerprint


def test_set_of_schema_1_is_refused_and_told_why(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(json.dumps({"schema": 1, "fingerprint": "0" * 16, "settings": {}}))
    for attempt in (lambda: ShardSet.open(tmp_path), ShardSet(tmp_path, settings(RECIPE)).create):
        with pytest.raises(SettingsMismatch, match=r"expected a set of schema 2, got schema 1: .* build it anew"):
            attempt()


def test_folder_without_a_set_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"models\.data\.build"):
        ShardSet.open(tmp_path)


def test_ragged_parts_can_be_told_apart_even_when_empty() -> None:
    parts = [np.ones((2, 3)), np.empty((0, 3)), np.zeros((1, 3))]
    whole, offsets = ragged(parts)
    assert offsets.tolist() == [0, 2, 2, 3]
    for part, low, high in zip(parts, offsets[:-1], offsets[1:], strict=True):
        np.testing.assert_array_equal(whole[low:high], part)
