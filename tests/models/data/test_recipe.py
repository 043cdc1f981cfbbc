from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models.data import recipe as recipes
from models.data.raytraced.layouts import LAYOUTS
from models.data.recipe import PURPOSES, RECIPES, Recipe, settings

FULL = RECIPES["full"]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_episodes_are_those_of_the_plan(name: str) -> None:
    recipe = RECIPES[name]
    for site in recipe.sites:
        planned = recipe.reserved.get(site, recipe.plan)
        assert Counter(recipe.purposes(site)) == Counter(planned)
        assert [recipe.purpose(site, episode) for episode in range(sum(planned.values()))] == recipe.purposes(site)


@pytest.mark.parametrize("site", FULL.sites)
def test_first_episodes_of_a_site_are_a_balanced_set(site: str) -> None:
    planned, purposes = FULL.reserved.get(site, FULL.plan), FULL.purposes(site)
    for length in range(len(purposes) + 1):
        for purpose, total in planned.items():
            assert abs(purposes[:length].count(purpose) - total * length / len(purposes)) < 1.5


def test_full_set_is_large_enough_and_covers_every_city() -> None:
    assert set(FULL.sites) == set(LAYOUTS)
    assert sum(body.carries_ue for body in FULL.bodies) >= 6
    cities = Counter(LAYOUTS[site].scene for site in FULL.sites if site not in FULL.reserved)
    assert set(cities) == {"munich", "etoile", "florence"}
    assert min(cities.values()) >= 2
    for site in set(FULL.sites) - set(FULL.reserved):
        assert len(FULL.purposes(site)) * FULL.snapshots >= 1000


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_nothing_is_trained_or_chosen_on_san_francisco(name: str) -> None:
    for site in RECIPES[name].sites:
        if LAYOUTS[site].scene == "san_francisco":
            assert not {"train", "val"} & set(RECIPES[name].purposes(site))


def test_small_set_has_every_purpose_in_two_cities() -> None:
    small = RECIPES["small"]
    assert len({LAYOUTS[site].scene for site in small.sites}) == 2
    assert all(set(small.purposes(site)) == set(PURPOSES) for site in small.sites)


def test_cast_has_carriers_of_every_speed_and_things_that_block() -> None:
    carriers = {body.kind for body in FULL.bodies if body.carries_ue}
    assert {"car", "bus", "person"} <= carriers
    assert any(body.parked for body in FULL.bodies)
    assert not any(body.parked and body.carries_ue for body in FULL.bodies)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": {"training": 1}}, "training"),
        ({"reserved": {"atlantis": {"test": 1}}}, "atlantis"),
        ({"reserved": {"munich": {"test": 1, "val": 1}}}, "munich is reserved"),
    ],
)
def test_recipe_that_makes_no_sense_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RECIPES["sample"], **change)


def test_recipe_comes_back_from_json() -> None:
    assert Recipe.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"snapshots": 4}, {"period_s": 0.2}, {"plan": {"train": 9}}, {"sites": ("munich", "florence")}],
)
def test_settings_change_with_the_recipe(change: dict[str, object]) -> None:
    sample = RECIPES["sample"]
    assert settings(replace(sample, **change)) != settings(sample)


def test_settings_change_with_the_code_that_makes_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings(FULL)
    monkeypatch.setattr(recipes, "GENERATOR", recipes.GENERATOR + 1)
    assert settings(FULL) != before


def test_settings_are_plain_json_and_say_where_the_sites_stand() -> None:
    found = json.loads(json.dumps(settings(FULL)))
    assert found["purposes"]["munich"] == FULL.purposes("munich")
    np.testing.assert_allclose(found["layouts"]["munich"]["foot_m"], LAYOUTS["munich"].foot_m)
    assert {band["carrier_hz"] for band in found["bands"]} == {2.6e9, 6e9, 28e9}
