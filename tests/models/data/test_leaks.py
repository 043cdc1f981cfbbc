from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.leaks import NEAR_M, find, main, near_duplicates, places_m
from models.data.raytraced.zones import NLOS, OPEN
from models.data.shards import ShardSet
from models.data.splits import Part
from tests.models.data.fake_set import SITES, Size, fake_episode, fake_set

HELD_OUT = "held-out-trajectories"


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    return fake_set(tmp_path)


def _episode(shards: ShardSet, purpose: str) -> int:
    return shards.recipe.purposes("toy").index(purpose)


def _move(shards: ShardSet, purpose: str, **columns: np.ndarray) -> None:
    """Write an episode of that purpose anew, with some columns changed."""
    episode = _episode(shards, purpose)
    shards.write("toy", episode, {**shards.read("toy", episode), **columns})


def test_clean_set_has_no_leaks(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, tuple(SITES), size=Size(ues=3))
    for split in shards.splits:
        assert find(shards, split).leaks == ()
    finding = find(shards, HELD_OUT)
    assert (finding.episodes, finding.tracks, finding.frames) == (6, 12, 24)  # the third is away in odd episodes
    assert finding.closest_m > NEAR_M


def test_episode_in_two_parts_is_a_leak(shards: ShardSet) -> None:
    everywhere = {name: {"purpose": "test", "sites": ["toy"]} for name in ("train", "test")}
    leaks = find(ShardSet(shards.folder, shards.settings, {"bad": everywhere}), "bad").leaks
    assert sum("in two parts" in line for line in leaks) == 2


def test_same_traffic_twice_is_a_leak_whatever_its_number(shards: ShardSet) -> None:
    train = shards.read("toy", _episode(shards, "train"))
    shards.write("toy", _episode(shards, "test"), train)
    (leak,) = find(shards, HELD_OUT).leaks
    assert "move alike" in leak


@pytest.mark.parametrize(("purpose", "zone"), [("train", NLOS), ("nlos", OPEN), ("val", NLOS)])
def test_frame_outside_its_ground_is_a_leak(shards: ShardSet, purpose: str, zone: int) -> None:
    zones = shards.read("toy", _episode(shards, purpose))["zone"]
    zones[1, 0] = zone
    _move(shards, purpose, zone=zones)
    (leak,) = find(shards, "unseen-nlos").leaks
    assert leak.startswith("toy: 1 frames")
    assert leak.endswith(purpose)


def test_training_frame_close_to_held_out_ground_is_a_leak(shards: ShardSet) -> None:
    train, region = (shards.read("toy", _episode(shards, p))["ue_position_m"] for p in ("train", "region"))
    region[0, 1] = train[1, 0] + [2.0, 0.0, 0.0]
    _move(shards, "region", ue_position_m=region)
    finding = find(shards, "unseen-region")
    assert finding.closest_m == pytest.approx(2.0, abs=1e-4)
    (leak,) = finding.leaks
    assert "2.00 m" in leak


def test_near_duplicates_are_counted_and_are_no_leak(shards: ShardSet) -> None:
    train, test = (shards.read("toy", _episode(shards, p))["ue_position_m"] for p in ("train", "test"))
    test[1, 1] = train[0, 0] + [0.0, 0.05, 0.0]
    _move(shards, "test", ue_position_m=test)
    finding = find(shards, HELD_OUT)
    assert finding.near_duplicates == 1
    assert finding.leaks == ()


def test_near_means_within_half_a_wavelength_in_space() -> None:
    train = np.array([[0.0, 0.0, 1.5], [10.0, 0.0, 1.5]])
    other = train + NEAR_M * np.array([[0.0, 0.0, 0.9], [0.0, 0.8, 0.8]])
    assert near_duplicates(train, other).tolist() == [True, False]
    assert near_duplicates(np.zeros((0, 3)), other).tolist() == [False, False]


def test_terminals_that_are_away_are_nowhere(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, plan={"train": 2}, size=Size(ues=3))
    places = places_m(shards, Part("train", ("toy",)), "toy")
    assert len(places) == 2 * 3 + 2 * 2
    assert np.hypot(*places[:, :2].T).min() > 20


def test_command_line_tells_leaks_by_its_status(
    shards: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--set", str(tmp_path)]) == 0
    assert HELD_OUT in capsys.readouterr().out
    shards.write("toy", _episode(shards, "test"), fake_episode(SITES["toy"], "region", seed=9))
    assert main(["--set", str(tmp_path), "--json"]) == 1
    findings = {f["split"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings[HELD_OUT]["leaks"]
    assert not findings["unseen-nlos"]["leaks"]
    missing = [sys.executable, "-m", "models.data.leaks", "--set", str(tmp_path / "nothing")]
    assert subprocess.run(missing, capture_output=True, check=False).returncode == 2
