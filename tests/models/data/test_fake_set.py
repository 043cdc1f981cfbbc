"""The made-up set is what the tests of training, loading and pictures rest on: it must be a true one in miniature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.recipe import PURPOSES
from models.data.schema import check
from models.data.shards import ShardSet
from tests.models.data.fake_set import CARRIERS_HZ, SITES, Size, fake_episode, fake_set, zone_at


@pytest.mark.parametrize("purpose", PURPOSES)
def test_episode_has_the_schema_and_follows_from_the_seed(purpose: str) -> None:
    first, again, other = (fake_episode(SITES["toy"], purpose, seed) for seed in (3, 3, 4))
    sizes = check(first)
    assert (sizes["K"], sizes["U"], sizes["B"]) == (2, 2, len(CARRIERS_HZ))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["pose"].tobytes() != other["pose"].tobytes()
    assert first["ue_present"].any() == (purpose != "empty") == (len(first["path_delay_s"]) > 0)


def test_set_opens_and_its_ground_agrees_with_the_frames(tmp_path: Path) -> None:
    fake_set(tmp_path, ("toy", "far"), size=Size(snapshots=3, ues=3))
    shards = ShardSet.open(tmp_path)
    for name in ("toy", "far"):
        ground, site = shards.ground(name), shards.site(name)
        for episode in shards.episodes(name):
            arrays = shards.read(name, episode)
            there = arrays["ue_present"] > 0
            enu = arrays["ue_position_m"][:, there, :2]
            column, row = np.floor(enu - ground["west_south_m"]).astype(int).transpose(2, 0, 1)
            assert (zone_at(site.to_mast(enu)) == arrays["zone"][:, there]).all()
            assert (ground["zone"][row, column] == arrays["zone"][:, there]).all()


def test_reserved_site_has_nothing_to_train_on(tmp_path: Path) -> None:
    recipe = fake_set(tmp_path, ("toy", "far")).recipe
    assert set(recipe.purposes("far")) == {"test", "empty"}
    assert set(recipe.purposes("toy")) == set(PURPOSES)
