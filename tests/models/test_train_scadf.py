from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.data.radio_batches import Trajectories
from models.systems import scadf_fit
from models.systems.scadf_moe import Design, ScadfMoe
from models.systems.scadf_training import interference
from models.train import main

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def trained(radio_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs of frames and two of trajectories."""
    runs = tmp_path_factory.mktemp("runs")
    assert _train(radio_folder, runs) == 0
    return runs / "scadf-moe-seed0"


def _train(data: Path, runs: Path, *more: str) -> int:
    epochs = ["--epochs", "2", "--path-epochs", "2", "--validate-every", "9"]
    sizes = ["--vertices", "64", "--length", "4", "--layers", "1"]
    places = ["--set", str(data), "--runs", str(runs), "--device", "cpu"]
    return main(["scadf-moe", "--json", "--threads", "1", *places, *epochs, *sizes, *more])


def _weights(folder: Path) -> Weights:
    return torch.load(folder / "model.pt", weights_only=True)


def _log(folder: Path) -> list[dict[str, dict[str, object]]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_run_leaves_its_settings_a_log_and_a_model(trained: Path) -> None:
    assert {"config.json", "log.jsonl", "frames.pt", "trajectories.pt", "model.pt", "curve.png"} <= {
        path.name for path in trained.iterdir()
    }
    config = json.loads((trained / "config.json").read_text())
    assert (config["epochs"], config["vertices"], config["length"], config["layers"]) == (2, 64, 4, 1)
    lines = _log(trained)
    stages = [("frames", 1), ("frames", 2), ("trajectories", 1), ("trajectories", 2)]
    assert [(line["stage"], line["epoch"]) for line in lines] == stages
    first, last = lines[2:]
    assert set(first["loss"]) == {"total", "vertex", "centroid", "los", "single", "mmd"}
    assert "val" not in first
    assert list(last["val"]) == ["2.6 GHz", "6 GHz", "28 GHz"]
    assert set(last["interference"]) == {"vertex-centroid", "vertex-los", "centroid-los"}
    model = ScadfMoe(Design(layers=1), 2)
    model.load_state_dict(_weights(trained))
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("stage", ["frames", "trajectories"])
def test_interrupted_run_goes_on_to_the_same_bits(
    trained: Path, radio_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def interrupt(model: ScadfMoe, batch: Trajectories) -> dict[str, float]:
        if stage == "frames" or (tmp_path / "scadf-moe-seed0" / "trajectories.pt").exists():
            raise KeyboardInterrupt
        return interference(model, batch)

    with monkeypatch.context() as patched:
        patched.setattr(scadf_fit, "interference", interrupt)  # at the end of the stage's second epoch
        with pytest.raises(KeyboardInterrupt):
            _train(radio_folder, tmp_path)
    folder = tmp_path / "scadf-moe-seed0"
    assert (_log(folder)[-1]["stage"], _log(folder)[-1]["epoch"]) == (stage, 1)
    assert not (folder / "model.pt").exists()
    torch.manual_seed(99)
    assert _train(radio_folder, tmp_path) == 0
    expected, found = (_log(run) for run in (trained, folder))
    assert [{**line, "seconds": 0} for line in found] == [{**line, "seconds": 0} for line in expected]
    weights = _weights(folder)
    for name, value in _weights(trained).items():
        assert torch.equal(weights[name], value), name


def test_finished_run_is_left_as_it_is(trained: Path, radio_folder: Path) -> None:
    before = _weights(trained)
    assert _train(radio_folder, trained.parent) == 0
    assert len(_log(trained)) == 4
    assert all(torch.equal(value, before[name]) for name, value in _weights(trained).items())


def test_another_seed_is_another_run(trained: Path, radio_folder: Path) -> None:
    assert _train(radio_folder, trained.parent, "--seed", "1", "--epochs", "1") == 0
    other, mine = _weights(trained.with_name("scadf-moe-seed1")), _weights(trained)
    assert not torch.equal(other["fuser.enter.weight"], mine["fuser.enter.weight"])


@pytest.mark.parametrize("option", ["--length", "--vertices", "--epochs", "--learning-rate"])
def test_folder_of_other_settings_is_refused(
    trained: Path, radio_folder: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    before = (trained / "config.json").read_text()
    assert _train(radio_folder, trained.parent, option, "3") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "other settings" in line
    assert (trained / "config.json").read_text() == before


def test_variant_of_some_bands_cues_and_routing(radio_folder: Path, tmp_path: Path) -> None:
    variant = ["--bands", "28 GHz,2.6 GHz", "--cues", "aoa,distance", "--routing", "none", "--clusters", "0.5"]
    assert _train(radio_folder, tmp_path, *variant, "--epochs", "1", "--name", "few") == 0
    folder = tmp_path / "few-seed0"
    assert json.loads((folder / "config.json").read_text())["bands"] == ["28 GHz", "2.6 GHz"]
    line = _log(folder)[-1]
    assert list(line["val"]) == ["28 GHz", "2.6 GHz"]
    assert "mmd" not in line["loss"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--bands", "60 GHz"], "2.6 GHz, 6 GHz, 28 GHz, got '60 GHz'"),
        (["--set", "nowhere"], "models.data.build"),
        (["--split", "unseen-moon"], "unseen-moon"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    radio_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert _train(radio_folder, tmp_path, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
