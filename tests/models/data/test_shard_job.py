from __future__ import annotations

import pytest

from models.data.raytraced.llvm import NoLLVM
from models.data.recipe import RECIPES, Recipe
from models.data.schema import Arrays
from models.data.shard_job import Job, Order, perform
from tests.models.data.fake_recorder import FakeRecorder


class Loading:
    """A factory that notes what it loads."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, site: str, recipe: Recipe) -> FakeRecorder:
        self.loaded.append(site)
        return FakeRecorder(site, recipe)


class Wrong(FakeRecorder):
    def record(self, episode: int) -> Arrays:
        arrays = super().record(episode)
        del arrays["pose"]
        return arrays


def _no_llvm(site: str, recipe: Recipe) -> FakeRecorder:
    raise NoLLVM("needs LLVM")


def test_scene_is_loaded_when_the_site_changes() -> None:
    loading = Loading()
    order = Order(RECIPES["small"], "of loading", loading)
    jobs = [("munich", None), ("munich", 0), ("etoile-south", 0), ("etoile-south", 1), ("munich", 1)]
    assert all(perform(Job(site, episode), order).data for site, episode in jobs)
    assert loading.loaded == ["munich", "etoile-south", "munich"]


def test_shard_that_breaks_the_schema_is_a_failure() -> None:
    product = perform(Job("munich", 0), Order(RECIPES["small"], "of wrong", Wrong))
    assert not product.data
    assert "SchemaError: pose" in product.error


def test_missing_llvm_stops_the_build() -> None:
    with pytest.raises(NoLLVM):
        perform(Job("munich", 0), Order(RECIPES["small"], "of none", _no_llvm))
