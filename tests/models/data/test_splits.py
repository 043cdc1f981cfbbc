from __future__ import annotations

import json
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from models.data.recipe import RECIPES, Recipe
from models.data.shards import ShardSet
from models.data.splits import FEW_LABELS, PARTS, Part, describe, part
from tests.models.data.fake_set import LAYOUTS, PLAN, RESERVED, SITES, Size, fake_recipe, fake_set


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return fake_set(tmp_path_factory.mktemp("set"), tuple(SITES), size=Size(ues=3))


def _recipe(**changes: int) -> Recipe:
    return fake_recipe(tuple(SITES), {**PLAN, **changes}, Size(ues=3))


def test_protocols_are_those_that_the_figures_name(shards: ShardSet) -> None:
    assert set(shards.splits) == {
        "held-out-trajectories", "unseen-region", "unseen-nlos", "empty", "few-label-1", "few-label-5", "few-label-20",
        "unseen-site", "unseen-city", "unseen-city-empty",
    }  # fmt: skip
    assert {split: part(shards, split, "test").purpose for split in shards.splits} == {
        "held-out-trajectories": "test", "unseen-region": "region", "unseen-nlos": "nlos", "empty": "empty",
        "few-label-1": "test", "few-label-5": "test", "few-label-20": "test",
        "unseen-site": "test", "unseen-city": "test", "unseen-city-empty": "empty",
    }  # fmt: skip


def test_sites_are_seen_or_not(shards: ShardSet) -> None:
    assert part(shards, "unseen-site", "train").sites == part(shards, "unseen-site", "val").sites == ("toy", "other")
    assert part(shards, "unseen-site", "test").sites == ("toy-east",)
    assert part(shards, "unseen-city", "test").sites == (RESERVED,)
    for split in shards.splits:
        for name in ("train", "val"):
            assert RESERVED not in part(shards, split, name).sites


def test_full_recipe_reserves_a_city_and_trains_on_the_first_site_of_each_other() -> None:
    splits = describe(RECIPES["full"])
    assert splits["unseen-city"]["test"]["sites"] == ["san-francisco"]
    assert splits["unseen-site"]["train"]["sites"] == ["munich", "etoile-south", "florence"]
    assert splits["unseen-site"]["test"]["sites"] == ["munich-west", "etoile-north", "florence-east"]


@pytest.mark.parametrize("split", describe(_recipe(), LAYOUTS))
def test_no_episode_and_no_track_is_in_two_parts(shards: ShardSet, split: str) -> None:
    parts = [part(shards, split, name) for name in PARTS]
    for one, other in combinations(parts, 2):
        assert not set(one.episodes(shards)) & set(other.episodes(shards))
        assert not set(one.tracks(shards)) & set(other.tracks(shards))
    assert all(p.episodes(shards) for p in parts)


def test_tracks_are_all_terminals_of_the_episodes(shards: ShardSet) -> None:
    train = part(shards, "held-out-trajectories", "train")
    assert Counter(site for site, _ in train.episodes(shards)) == {"toy": 3, "toy-east": 3, "other": 3}
    assert train.tracks(shards) == [(site, e, ue) for site, e in train.episodes(shards) for ue in range(3)]


def test_few_labels_are_nested_shares_of_each_site() -> None:
    splits = describe(_recipe(train=100), LAYOUTS)
    lists = {percent: splits[f"few-label-{percent}"]["train"]["labelled"] for percent in FEW_LABELS}
    for percent, labelled in lists.items():
        assert {site: len(tracks) for site, tracks in labelled.items()} == dict.fromkeys(
            ("toy", "toy-east", "other"), 3 * percent
        )
    for fewer, more in pairwise(FEW_LABELS):
        for site, tracks in lists[fewer].items():
            assert {tuple(track) for track in tracks} < {tuple(track) for track in lists[more][site]}
    assert lists[20]["toy"] != lists[20]["other"]
    purposes = _recipe(train=100).purposes("toy")
    assert {purposes[episode] for episode, _ in lists[20]["toy"]} == {"train"}
    assert {ue for _, ue in lists[20]["toy"]} == {0, 1, 2}


def test_few_label_protocol_keeps_its_other_frames_and_hides_their_truth(shards: ShardSet) -> None:
    whole, few = (part(shards, split, "train") for split in ("held-out-trajectories", "few-label-20"))
    assert few.episodes(shards) == whole.episodes(shards)
    tracks = few.tracks(shards)
    assert len(tracks) == 3 * 2  # 20 % of 9 a site
    assert all(few.is_labelled(*track) == (track in tracks) for track in whole.tracks(shards))


def test_stored_protocols_are_what_is_used(shards: ShardSet, tmp_path: Path) -> None:
    stored = json.loads((shards.folder / "set.json").read_text())["splits"]
    assert stored == json.loads(json.dumps(describe(shards.recipe, LAYOUTS)))
    changed = ShardSet(shards.folder, shards.settings, {"mine": {"test": {"purpose": "nlos", "sites": ["toy"]}}})
    assert part(changed, "mine", "test") == Part("nlos", ("toy",))


def test_protocol_that_a_recipe_does_not_allow_is_left_out(tmp_path: Path) -> None:
    recipe = fake_recipe(("toy",), {"train": 1, "test": 1}, Size())
    splits = describe(recipe, LAYOUTS)
    assert set(splits) == {"held-out-trajectories", "few-label-1", "few-label-5", "few-label-20"}
    assert set(splits["held-out-trajectories"]) == {"train", "test"}


def test_only_what_has_been_built_is_in_a_part(tmp_path: Path) -> None:
    shards = fake_set(tmp_path)
    train = part(shards, "held-out-trajectories", "train")
    first, *rest = train.episodes(shards)
    shards.path(*first).unlink()
    assert train.episodes(shards) == rest


def test_unknown_names_are_refused_with_those_that_exist(shards: ShardSet) -> None:
    with pytest.raises(ValueError, match=r"split of held-out.*unseen-city.*got 'random'"):
        part(shards, "random", "test")
    with pytest.raises(ValueError, match=r"train, val, test, got 'dev'"):
        part(shards, "unseen-nlos", "dev")
