from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.compare import SHOWN, Table, finished, load_run, markdown, saw_people
from models.systems.gated_fusion import GatedFusion

KEYS = [key for key, _ in SHOWN]


def _figures(value: float) -> dict[str, float]:
    return {key: value + index for index, key in enumerate(KEYS)}


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line]


TABLE: Table = {
    "gated-fusion": {
        seed: {
            "trajectories": _figures(value),
            "instructions": {"instruction_exact": 0.5},
            "radhar windows": {"activity_accuracy": value / 10, "activity_macro_f1": 0.5, "activity_ece": 0.01},
        }
        for seed, value in (("0", 1.0), ("1", 2.0), ("2", 6.0))
    },
    "kNN": {"0": {"single frames": {"position_median_m": 4.0}}},
}


def test_row_has_mean_and_sample_deviation_over_the_seeds() -> None:
    rows = _rows(markdown(TABLE))
    assert rows[0][:3] == ["system", "split", "seeds"]
    assert rows[0][3:] == [label for _, label in SHOWN]
    row = next(r for r in rows if r[:2] == ["gated-fusion", "trajectories"])
    assert row[2] == "3"
    assert row[3] == "3.000 ± 2.646"  # of 1, 2 and 6
    assert row[4] == "4.000 ± 2.646"


def test_figure_that_a_system_does_not_have_is_a_dash() -> None:
    row = next(r for r in _rows(markdown(TABLE)) if r[0] == "kNN")
    assert row[1:4] == ["single frames", "1", "4.000"]
    assert set(row[4:]) == {"–"}


def test_people_have_a_table_of_their_own() -> None:
    rows = _rows(markdown(TABLE))
    head = next(i for i, r in enumerate(rows) if "macro-F1" in r)
    assert rows[head + 2] == [
        "gated-fusion",
        "radhar windows",
        "3",
        "0.3000 ± 0.2646",
        "0.5000 ± 0.0000",
        "0.0100 ± 0.0000",
    ]
    assert not any("instructions" in r for r in rows)


def test_every_row_is_as_wide_as_its_head() -> None:
    street, people = markdown(TABLE).split("\n\n")
    for part in (street, people):
        assert len({line.count("|") for line in part.splitlines()}) == 1


def test_empty_table_is_only_its_head() -> None:
    assert len(markdown({}).splitlines()) == 2


def test_runs_are_those_that_are_finished(tmp_path: Path) -> None:
    for name in ("gated-fusion-seed0", "gated-fusion-only-csi-seed12", "running-seed1", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"site": "munich", "band": "6 GHz"}))
        if name != "running-seed1":
            (tmp_path / name / "model.pt").touch()
    found = finished(tmp_path, "munich", "6 GHz")
    assert [run[:2] for run in found] == [("gated-fusion-only-csi", "12"), ("gated-fusion", "0")]


def test_run_on_another_site_or_band_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, config in enumerate(({"site": "munich", "band": "28 GHz"}, {"site": "etoile", "band": "6 GHz"}, {})):
        folder = tmp_path / f"gated-fusion-seed{seed}"
        folder.mkdir()
        (folder / "model.pt").touch()
        (folder / "config.json").write_text(json.dumps(config))
    assert finished(tmp_path, "munich", "6 GHz") == []
    assert all(f"gated-fusion-seed{seed}" in line for seed, line in enumerate(capsys.readouterr().err.splitlines()))


def test_run_is_loaded_with_the_modalities_that_it_was_trained_on(tmp_path: Path, model: GatedFusion) -> None:
    torch.save(model.state_dict(), tmp_path / "model.pt")
    (tmp_path / "config.json").write_text(json.dumps({"modalities": ["csi", "lidar"]}))
    loaded, modalities = load_run(tmp_path)
    assert modalities == ("csi", "lidar")
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_table_is_stable(tmp_path: Path) -> None:
    shuffled = dict(reversed(TABLE.items()))
    assert markdown(shuffled) == markdown(TABLE) == markdown(json.loads(json.dumps(TABLE)))


def test_run_without_people_is_not_measured_on_them(tmp_path: Path) -> None:
    for losses, saw in (({"position": 1.0}, False), ({"position": 1.0, "activity": 0.5}, True)):
        (tmp_path / "log.jsonl").write_text(
            '{"epoch": 1, "loss": {}}\n' + json.dumps({"epoch": 2, "loss": losses}) + "\n"
        )
        assert saw_people(tmp_path) is saw
