from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.adapt import FROZEN, main, start_from
from models.systems.gated_fusion import GatedFusion
from tests.models.data.fake_set import fake_set


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(3)
    torch.save(GatedFusion().state_dict(), folder / "model.pt")
    described = {"system": "gated-fusion", "windows": 2, "modalities": ["csi", "camera", "radar", "lidar"]}
    (folder / "config.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
def adapted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run adapted to a new site for one epoch."""
    root = tmp_path_factory.mktemp("adapted")
    fake_set(root / "data", ("toy", "toy-east"), {"train": 2, "val": 1, "test": 1})
    arguments = ["--base", str(base), "--set", str(root / "data"), "--site", "toy-east", "--runs", str(root)]
    assert main([*arguments, "--epochs", "1", "--json", "--threads", "1"]) == 0
    return root / "adapted-seed0"


def _moved(base: Path, adapted: Path, parameters_only: bool) -> set[str]:
    """Parts of the encoder that differ between the two runs."""
    before, after = (torch.load(folder / "model.pt", weights_only=True) for folder in (base, adapted))
    known = {name for name, _ in GatedFusion().named_parameters()} if parameters_only else set(before)
    changed = {name for name in known if not torch.equal(before[name], after[name])}
    return {name.split(".")[1] for name in changed if name.startswith("encoder.")}


def test_start_is_the_base_with_its_encoders_frozen(base: Path) -> None:
    model = GatedFusion()
    start_from(model, base / "model.pt")
    expected = torch.load(base / "model.pt", weights_only=True)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    for name, part in model.encoder.named_children():
        assert all(p.requires_grad != (name in FROZEN) for p in part.parameters()), name


def test_weights_of_the_encoders_stay_and_the_others_learn(base: Path, adapted: Path) -> None:
    moved = _moved(base, adapted, parameters_only=True)
    assert moved & set(FROZEN) == set()
    assert {"gate", "position", "los"} <= moved


def test_statistics_of_the_encoders_stay(base: Path, adapted: Path) -> None:
    assert _moved(base, adapted, parameters_only=False) & set(FROZEN) == set()


def test_run_says_where_it_started_from(base: Path, adapted: Path) -> None:
    config = json.loads((adapted / "config.json").read_text())
    assert config["base"] == str(base)
    assert config["share"] == 1.0
    assert (config["site"], config["band"]) == ("toy-east", "6 GHz")


def test_missing_base_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", str(tmp_path / "none"), "--set", str(tmp_path), "--threads", "1"]) == 2
    assert "config.json" in capsys.readouterr().err
