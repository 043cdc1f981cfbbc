from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.raytraced_set import RayTracedSet
from models.systems.gated_fusion_run import Config, fit
from models.train import main
from tests.models.data.fake_set import fake_set
from tests.models.toy import recording, scene_set

CONFIG = Config(epochs=2, draws=1, radar_runs=2)
NOBODY = {"train": [], "val": []}


@pytest.fixture(scope="module")
def data() -> dict[str, RayTracedSet]:
    return {
        "train": scene_set(episodes=2, snapshots=3, ues=2),
        "val": scene_set(episodes=1, snapshots=3, ues=2, seed=1),
    }


@pytest.fixture(scope="module")
def trained(data: dict[str, RayTracedSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run without people."""
    folder = tmp_path_factory.mktemp("run")
    fit(CONFIG, data, NOBODY, folder, quiet=True)
    return folder


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def _log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_run_leaves_a_log_and_a_model(trained: Path) -> None:
    assert [line["epoch"] for line in _log(trained)] == [1, 2]
    assert "val" in _log(trained)[-1]
    assert all(torch.isfinite(value).all() for value in _weights(trained).values())
    assert json.loads((trained / "config.json").read_text())["epochs"] == 2


def test_interrupted_run_goes_on_to_the_same_weights(
    trained: Path, data: dict[str, RayTracedSet], tmp_path: Path
) -> None:
    with pytest.raises(KeyError):  # the second epoch fails at its end, after one whole epoch
        fit(CONFIG, {"train": data["train"]}, {"train": [], "val": []}, tmp_path, quiet=True, validate_every=9)
    assert not (tmp_path / "model.pt").exists()
    fit(CONFIG, data, NOBODY, tmp_path, quiet=True)
    assert [line["epoch"] for line in _log(tmp_path)] == [1, 2]
    expected = _weights(trained)
    for name, value in _weights(tmp_path).items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_finished_run_is_left_as_it_is(trained: Path, data: dict[str, RayTracedSet]) -> None:
    before = _weights(trained)
    fit(CONFIG, data, NOBODY, trained, quiet=True)
    assert len(_log(trained)) == 2
    assert all(torch.equal(value, before[name]) for name, value in _weights(trained).items())


def test_folder_of_other_settings_is_refused(trained: Path, data: dict[str, RayTracedSet]) -> None:
    with pytest.raises(FileExistsError, match="other settings"):
        fit(Config(epochs=3, draws=1, radar_runs=2), data, NOBODY, trained, quiet=True)
    assert json.loads((trained / "config.json").read_text())["epochs"] == 2


def test_people_are_trained_and_validated_beside_the_street(data: dict[str, RayTracedSet], tmp_path: Path) -> None:
    people = {part: [recording(a, 150, part) for a in (0, 2, 4)] for part in ("train", "val")}
    fit(Config(epochs=1, draws=1, radar_runs=2), data, people, tmp_path, quiet=True)
    (line,) = _log(tmp_path)
    assert set(line["loss"]) == {"total", "position", "los", "activity", "text"}
    assert "activity_accuracy" in line["val"]


def test_single_modality_is_a_baseline(data: dict[str, RayTracedSet], tmp_path: Path) -> None:
    fit(Config(epochs=1, draws=1, modalities=("lidar",)), data, NOBODY, tmp_path, quiet=True)
    assert (tmp_path / "model.pt").exists()


def test_frames_without_labels_teach_nothing(data: dict[str, RayTracedSet], tmp_path: Path) -> None:
    """Nor does the place of a UE that is away."""
    train = replace(data["train"], labelled=np.array([[True, True], [False, False]]))
    train.present[0, 1] = False
    moved = train.position_m.copy()
    moved[0, :, 1] += 1e4
    moved[1] -= 1e4
    for name, position_m in (("as it is", train.position_m), ("moved", moved)):
        few = {"train": replace(train, position_m=position_m), "val": data["val"]}
        fit(Config(epochs=1, draws=1), few, NOBODY, tmp_path / name, quiet=True)
    expected = _weights(tmp_path / "as it is")
    assert all(torch.equal(value, expected[name]) for name, value in _weights(tmp_path / "moved").items())


def test_missing_data_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_set(tmp_path / "data", plan={"train": 2, "test": 1})
    for folder, site, expected in (
        ("nothing", "toy", "models.data.build"),
        ("data", "toy", "'val'"),
        ("data", "far", "expected one of toy"),
    ):
        arguments = ["--set", str(tmp_path / folder), "--site", site, "--runs", str(tmp_path), "--threads", "1"]
        assert main(["gated-fusion", "--json", *arguments]) == 2
        assert expected in capsys.readouterr().err
