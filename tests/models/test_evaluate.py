from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from models.evaluate import TOLERANCE, differences, main
from tests.models.data.fake_set import fake_set

CARD = {"trajectories": {"position_median_m": 1.5, "frames": 960.0}, "radhar windows": {"activity_accuracy": 0.97}}


def test_figures_as_on_the_card_have_no_differences() -> None:
    assert differences(CARD, CARD) == []


@pytest.mark.parametrize(("value", "differs"), [(1.5 + 1.4 * TOLERANCE, False), (1.5 + 1.6 * TOLERANCE, True)])
def test_small_figures_may_differ_by_the_tolerance_in_all(value: float, differs: bool) -> None:
    mine = {"trajectories": {"position_median_m": value}}
    assert bool(differences(mine, CARD)) == differs
    assert all("position_median_m" in line and "1.5000" in line for line in differences(mine, CARD))


@pytest.mark.parametrize(
    ("value", "differs"), [(960 * (1 - 0.9 * TOLERANCE), False), (960 * (1 - 1.1 * TOLERANCE), True)]
)
def test_large_figures_may_differ_by_the_tolerance_in_proportion(value: float, differs: bool) -> None:
    assert bool(differences({"trajectories": {"frames": value}}, CARD)) == differs


def test_figure_that_the_card_does_not_have_is_a_difference() -> None:
    for mine in ({"trajectories": {"new": 1.0}}, {"new": {"position_median_m": 1.5}}):
        assert len(differences(mine, CARD)) == 1


def test_figure_that_is_no_number_is_a_difference() -> None:
    assert differences({"trajectories": {"position_median_m": float("nan")}}, CARD) != []


def test_exported_artifact_is_as_its_card_says(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = exported.parent.parent / "data"
    arguments = ["gated-fusion", "--zoo", str(exported.parent), "--site", "toy", "--json"]
    assert main([*arguments, "--set", str(data)]) == 0
    assert json.loads(capsys.readouterr().out)["same_set"]


def test_card_of_another_set_is_not_compared(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = fake_set(tmp_path)
    arguments = ["gated-fusion", "--zoo", str(exported.parent), "--site", "toy", "--json"]
    assert main([*arguments, "--set", str(tmp_path)]) == 2
    assert shards.fingerprint in capsys.readouterr().err
    assert main([*arguments, "--set", str(tmp_path / "nothing")]) == 2
    assert "models.data.build" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["train", "adapt", "compare", "evaluate", "export"])
def test_command_line_says_what_it_does(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        importlib.import_module(f"models.{module}").main(["--help"])
    assert leaving.value.code == 0
    assert f"python -m models.{module}" in capsys.readouterr().out
