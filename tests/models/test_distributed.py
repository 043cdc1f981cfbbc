from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import models
from models.distributed import Workers, workers

CPU = torch.device("cpu")


@pytest.mark.parametrize(("batches", "count"), [(12, 1), (12, 3), (13, 3), (14, 3), (2, 3), (0, 2)])
def test_every_process_gets_as_many_batches_and_none_is_given_twice(batches: int, count: int) -> None:
    shares = [list(Workers(CPU, rank, count).share(iter(range(batches)))) for rank in range(count)]
    assert {len(share) for share in shares} == {batches // count}
    every = [batch for share in shares for batch in share]
    assert len(set(every)) == len(every)
    assert set(every) == set(range(batches // count * count))  # a rest too small for all is left out


def test_process_on_its_own_leads_and_trains_the_bare_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    objective = nn.Linear(2, 2)
    with workers("cpu") as together:
        assert (together.device, together.rank, together.count) == (CPU, 0, 1)
        assert together.leads
        assert together.wrap(objective) is objective
        assert not torch.distributed.is_initialized()


def test_only_the_first_process_leads() -> None:
    assert [Workers(CPU, rank, 3).leads for rank in range(3)] == [True, False, False]


@pytest.mark.slow
def test_two_processes_train_one_run(radio_folder: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    sizes = ["--vertices", "16", "--length", "4", "--layers", "1", "--epochs", "2", "--path-epochs", "1"]
    places = ["--set", str(radio_folder), "--runs", str(tmp_path), "--device", "cpu", "--threads", "1", "--json"]
    done = subprocess.run(
        [*launcher, "-m", "models.train", "scadf-moe", *places, *sizes],
        cwd=Path(models.__file__).parents[1], capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "scadf-moe-seed0"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "log.jsonl", "frames.pt", "trajectories.pt", "model.pt", "curve.png"
    }  # fmt: skip
    log = (folder / "log.jsonl").read_text().splitlines()
    stages = [(line["stage"], line["epoch"]) for line in map(json.loads, log)]
    assert stages == [("frames", 1), ("frames", 2), ("trajectories", 1)]
    assert done.stdout.splitlines() == log
    assert all(line["loss"]["vertex"] > 0 for line in map(json.loads, log))
    weights = torch.load(folder / "model.pt", weights_only=True)
    assert all(value.isfinite().all() for value in weights.values())
