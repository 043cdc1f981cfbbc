from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.build import CAST, PROFILES, main, settings
from models.data.shards import ShardSet


def _built(folder: Path, episodes: tuple[int, ...], seed: int = 2026) -> ShardSet:
    shards = ShardSet(folder, settings("munich", PROFILES["sample"], seed))
    shards.create()
    for episode in episodes:
        shards.write(episode, {"time_s": np.zeros(3)})
    return shards


def test_help_says_what_it_builds_without_loading_the_ray_tracer() -> None:
    program = """
import sys
from models.data.build import main
try:
    main(["--help"])
finally:
    assert "mitsuba" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    for word in ("--layout", "--profile", "--seed", "--shards", "--out"):
        assert word in run.stdout


def test_folder_of_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = _built(tmp_path, (0, 1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["--profile", "sample", "--out", str(tmp_path), "--seed", "7"]) == 2
    assert shards.fingerprint in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_finished_build_is_not_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = _built(tmp_path, (0, 1))
    before = [shards.path(episode).stat().st_mtime_ns for episode in (0, 1)]
    assert main(["--profile", "sample", "--out", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["episodes"], report["snapshots_built"], report["fingerprint"]) == (2, 0, shards.fingerprint)
    assert [shards.path(episode).stat().st_mtime_ns for episode in (0, 1)] == before


def test_machine_builds_only_its_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _built(tmp_path, (1, 3))  # nothing of this machine's share is missing
    share = ["--episodes", "4", "--shard", "1", "--shards", "2"]
    assert main(["--profile", "sample", "--out", str(tmp_path), "--json", *share]) == 0
    assert json.loads(capsys.readouterr().out)["snapshots_built"] == 0


def test_missing_ray_tracer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "models.data.raytraced.recorder", None)  # as if it could not be imported
    assert main(["--profile", "sample", "--out", str(tmp_path), "--json"]) == 2
    assert "make raytrace" in capsys.readouterr().err


def test_settings_tell_sets_apart_that_differ_in_anything_but_their_size(tmp_path: Path) -> None:
    profile = PROFILES["sample"]
    base = settings("munich", profile, 1)
    assert json.loads(json.dumps(base)) == base
    others = [
        settings("munich", profile, 2),
        settings("munich", replace(profile, snapshots=4), 1),
        settings("munich", replace(profile, period_s=0.4), 1),
    ]
    prints = {ShardSet(tmp_path, chosen).fingerprint for chosen in (base, *others)}
    assert len(prints) == 4
    longer = settings("munich", replace(profile, episodes=99), 1)  # more of the same set
    assert ShardSet(tmp_path, longer).fingerprint == ShardSet(tmp_path, base).fingerprint


def test_cast_has_carriers_of_every_speed_and_things_that_block() -> None:
    carriers = {body.kind for body in CAST if body.carries_ue}
    assert carriers == {"car", "bus", "person"}
    assert any(body.parked for body in CAST)
    assert not any(body.parked and body.carries_ue for body in CAST)
