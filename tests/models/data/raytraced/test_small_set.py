"""The small profile, built whole by the ray tracer on all cores (some minutes)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.raytraced.zones import NLOS, OPEN, REGION
from models.data.recipe import RECIPES
from models.data.shards import ShardSet
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()
pytestmark = pytest.mark.slow

TIMEOUT_S = 1800.0
ZONE = {"train": OPEN, "val": OPEN, "test": OPEN, "region": REGION, "nlos": NLOS}


def _build(folder: Path, *more: str) -> dict[str, object]:
    command = [sys.executable, "-m", "models.data.build", "--profile", "small", "--out", str(folder), "--json", *more]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert run.returncode == 0, run.stderr
    report: dict[str, object] = json.loads(run.stdout)
    return report


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("small")
    _build(folder)
    return ShardSet.open(folder)


def test_set_is_whole_and_passes_its_own_check(built: ShardSet) -> None:
    report = _build(built.folder, "--verify")
    assert report["shards"] == report["shards_of_the_whole_set"]
    assert report["wrong"] == []


@pytest.mark.parametrize("site", RECIPES["small"].sites)
def test_ues_keep_to_the_zone_of_their_purpose(built: ShardSet, site: str) -> None:
    for episode, purpose in enumerate(built.recipe.purposes(site)):
        arrays = built.read(site, episode, ["zone", "ue_present", "path_offset"])
        if purpose == "empty":
            assert not arrays["ue_present"].any()
            assert arrays["path_offset"][-1] == 0
        else:
            there = arrays["ue_present"] == 1
            assert there.sum() >= 6
            assert np.unique(arrays["zone"][:, there]).tolist() == [ZONE[purpose]]


def test_shards_that_are_built_again_have_the_same_bytes(built: ShardSet) -> None:
    before = {path: path.read_bytes() for path in built.folder.glob("*.safetensors")}
    again = [built.path(site, episode) for site, episode in (("munich", 6), ("munich", 2), ("etoile-south", 4))]
    for path in (*again, built.ground_path("etoile-south")):
        path.unlink()
    _build(built.folder, "--workers", "1")  # in another order, by another worker
    assert {path: path.read_bytes() for path in before} == before
