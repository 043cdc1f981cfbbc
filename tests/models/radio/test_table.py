from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import train
from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.radio import table as radio_table
from models.radio import train_rows
from models.radio.predict import RadioPredictions, embed, figures, fuse, region_quantiles
from models.radio.rows import EPOCHS, SEEDS, TRAINED
from models.radio.table import COLUMNS, SPLITS, Table, at_bands, load_data, load_run, main, markdown, measure
from models.systems import scadf_run
from models.systems.scadf_config import Config
from tests.models.radio.runs import write_run

NAMES = tuple(band.name for band in BANDS)
KNOWN = ("2.6 GHz", "6 GHz")  # to the run without 28 GHz
LENGTHS = {"scadf-moe": 16, "scadf-moe T=8": 8, "scadf-moe T=4": 4, "scadf-moe T=2": 2, "scadf-moe T=1": 1}


@pytest.fixture(scope="module")
def runs(whole_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One trained for an epoch, two not at all, and one that is not finished."""
    runs = tmp_path_factory.mktemp("table-runs")
    tiny = ["--epochs", "1", "--path-epochs", "1", "--vertices", "16", "--length", "4", "--layers", "1"]
    places = ["--set", str(whole_folder), "--runs", str(runs), "--device", "cpu", "--threads", "1", "--json"]
    assert train.main(["scadf-moe", *places, *tiny]) == 0
    write_run(runs / "scadf-single-seed2", Config(length=1, layers=1))
    write_run(runs / "without-28GHz-seed0", Config(bands=KNOWN, layers=1))
    (runs / "scadf-hard-seed0").mkdir()
    return runs


def _arguments(folder: Path, runs: Path, out: Path) -> list[str]:
    return ["--set", str(folder), "--runs", str(runs), "--out", str(out), "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def out(whole_folder: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("table") / "zoo"
    assert main(_arguments(whole_folder, runs, out)) == 0
    return out


@pytest.fixture(scope="module")
def table(out: Path) -> Table:
    return json.loads((out / "table.json").read_text())


@pytest.fixture(scope="module")
def data(whole_folder: Path) -> dict[str, Radio]:
    return load_data(whole_folder, NAMES, quiet=True)


# ---- rows


def test_rows_have_names_of_their_own() -> None:
    names = [row.name for row in TRAINED]
    assert len(set(names)) == len(names)
    folders = {row.folder(Path("runs"), seed) for row in TRAINED for seed in SEEDS}
    assert len(folders) == len(names) * len(SEEDS)


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: row.name)
def test_row_is_trained_by_its_command(row: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Path]] = []
    system = SimpleNamespace(add_arguments=scadf_run.add_arguments, train=lambda *given: seen.append(given))
    monkeypatch.setitem(train.SYSTEMS, "scadf-moe", system)
    assert train.main([*row.command(2, EPOCHS), "--runs", str(tmp_path), "--threads", "1"]) == 0
    ((args, folder),) = seen
    assert folder == row.folder(tmp_path, 2)
    assert (args.seed, args.epochs, args.length) == (2, EPOCHS, row.lengths[0])
    trained_at = args.bands.split(",")
    assert set(trained_at) <= set(NAMES)
    assert set(row.bands) == set(NAMES) - set(trained_at) if row.name.startswith("without-") else set(trained_at)
    Config(bands=tuple(trained_at), cues=tuple(args.cues.split(",")), routing=args.routing)  # no cue unknown


# ---- train_rows


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run, in order; every run of the seed 1 fails."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=int(command[command.index("--seed") + 1] == "1"))

    monkeypatch.setattr(train_rows.subprocess, "run", run)
    return commands


def _named(commands: list[list[str]]) -> list[str]:
    return [f"{c[c.index('--name') + 1]}-seed{c[c.index('--seed') + 1]}" for c in commands]


def test_runs_that_are_finished_are_not_trained_again(
    tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for finished in ("scadf-hard-seed1", "cnn-image-seed0"):
        (tmp_path / finished).mkdir()
        (tmp_path / finished / "model.pt").touch()
    (tmp_path / "scadf-hard-seed0").mkdir()  # interrupted
    wanted = ["--rows", "scadf-hard,cnn-image", "--runs", str(tmp_path), "--set", "somewhere", "--jobs", "1"]
    assert train_rows.main(wanted) == 1
    assert _named(commands) == ["scadf-hard-seed0", "cnn-image-seed1", "scadf-hard-seed2", "cnn-image-seed2"]
    for command in commands:
        assert command[1:3] == ["-m", "models.train"]
        assert command[command.index("--set") + 1] == "somewhere"
        assert command[command.index("--runs") + 1] == str(tmp_path)
    failed = [line for line in capsys.readouterr().out.splitlines() if "failed" in line]
    assert len(failed) == 1
    assert str(tmp_path / "cnn-image-seed1" / "train.log") in failed[0]


def test_all_rows_are_trained_seed_after_seed(tmp_path: Path, commands: list[list[str]]) -> None:
    assert train_rows.main(["--runs", str(tmp_path), "--jobs", "1"]) == 1
    assert _named(commands) == [f"{row.name}-seed{seed}" for seed in SEEDS for row in TRAINED]


def test_nothing_left_to_train_is_a_success(tmp_path: Path, commands: list[list[str]]) -> None:
    for seed in SEEDS:
        (tmp_path / f"scadf-moe-seed{seed}").mkdir()
        (tmp_path / f"scadf-moe-seed{seed}" / "model.pt").touch()
    assert train_rows.main(["--rows", "scadf-moe", "--runs", str(tmp_path)]) == 0
    assert commands == []


def test_row_that_there_is_not_is_refused(
    tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        train_rows.main(["--rows", "scadf-moe,scadf-more", "--runs", str(tmp_path)])
    assert leaving.value.code == 2
    assert "got scadf-more" in capsys.readouterr().err
    assert commands == []


# ---- table


def test_every_finished_run_and_baseline_has_its_rows(table: Table) -> None:
    assert {name: list(seeds) for name, seeds in table.items()} == {
        **{name: ["0"] for name in ("knn", "weighted-knn", *LENGTHS, "without-28GHz")},
        **{name: ["2"] for name in ("scadf-single", "kalman-smoother")},
    }
    cells = {f"{name}/{band}" for name in ("toy", "all") for band in NAMES} | {"all/all"}
    for name, seeds in table.items():
        for splits in seeds.values():
            assert list(splits) == sorted(SPLITS)
            if name != "without-28GHz":
                assert all(set(found) == cells for found in splits.values())


@pytest.mark.parametrize("name", LENGTHS)
def test_trajectories_are_of_the_length_that_the_row_names(
    table: Table, runs: Path, data: dict[str, Radio], name: str
) -> None:
    model, _ = load_run(runs / "scadf-moe-seed0")
    test = data["unseen-region"]
    answers = {part: fuse(model, data[part], embed(model, data[part]), LENGTHS[name]) for part in ("val", SPLITS[1])}
    expected = figures(answers[SPLITS[1]], test, region_quantiles(answers["val"], data["val"]))
    for cell, found in table[name]["0"]["unseen-region"].items():
        assert found == pytest.approx(expected[cell], abs=1e-2), cell


def test_history_and_smoother_change_the_answers(table: Table) -> None:
    def error_m(name: str, seed: str) -> float:
        return table[name][seed][SPLITS[0]]["all/all"]["position_mean_m"]

    assert len({error_m(name, "0") for name in LENGTHS}) >= 3  # episodes are of 4 snapshots
    assert error_m("scadf-moe T=4", "0") == error_m("scadf-moe", "0")
    assert error_m("kalman-smoother", "2") != error_m("scadf-single", "2")
    assert error_m("weighted-knn", "0") != error_m("knn", "0")


def test_run_without_a_band_is_tested_there_and_only_there(table: Table) -> None:
    for found in table["without-28GHz"]["0"].values():
        assert set(found) == {"toy/28 GHz", "all/28 GHz", "all/all"}
        assert found["all/all"] == found["all/28 GHz"]


def test_regions_at_an_unseen_band_are_the_most_cautious_of_the_known_ones(
    table: Table, runs: Path, data: dict[str, Radio]
) -> None:
    model, _ = load_run(runs / "without-28GHz-seed0")
    known = at_bands(data["val"], KNOWN)
    quantiles = region_quantiles(fuse(model, known, embed(model, known), 16), known)
    largest = {"0.90": max(each["0.90"] for each in quantiles)}
    for split in SPLITS:
        test = at_bands(data[split], ("28 GHz",))
        expected = figures(fuse(model, test, embed(model, test), 16), test, [largest])["all/28 GHz"]
        found = table["without-28GHz"]["0"][split]["all/28 GHz"]
        assert found["region_90_coverage"] == pytest.approx(expected["region_90_coverage"], abs=1e-3)


def _off_by(errors_m: dict[str, float]) -> Callable[[Radio], RadioPredictions]:
    """Answers that are so far off at each band, with a standard deviation of 1 m."""

    def answer(radio: Radio) -> RadioPredictions:
        off = np.array([[errors_m[band.name], 0.0] for band in radio.frames.bands], np.float32)
        place = radio.frames.position_m[:, None, :2] + off
        scale = np.broadcast_to(np.array([1, 0, 1], np.float32), (*place.shape[:2], 3))
        return RadioPredictions(place, scale, np.zeros(place.shape[:2], np.float32))

    return answer


@pytest.mark.parametrize(("unseen_m", "covered"), [(2.9, 1.0), (3.1, 0.0)])
def test_unseen_band_is_not_calibrated_on_itself(data: dict[str, Radio], unseen_m: float, covered: float) -> None:
    answer = _off_by({"2.6 GHz": 1.0, "6 GHz": 3.0, "28 GHz": unseen_m})
    alone = {name: at_bands(part, ("28 GHz",)) for name, part in data.items()}
    known = at_bands(data["val"], KNOWN)
    for found in measure(answer, alone, known).values():
        assert found["all/28 GHz"]["region_90_coverage"] == covered
    for found in measure(answer, alone).values():
        assert found["all/28 GHz"]["region_90_coverage"] == pytest.approx(1.0, abs=0.2)  # of its own ones: rounding


def test_what_is_there_is_not_evaluated_again(
    whole_folder: Path, runs: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out / "table.json").read_bytes()
    for name in ("load", "load_data", "trained_rows", "knn_rows"):
        monkeypatch.delattr(radio_table, name)
    assert main(_arguments(whole_folder, runs, out)) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before)
    assert (out / "table.json").read_bytes() == before


def test_only_the_run_that_is_new_is_evaluated(
    whole_folder: Path, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("scadf-single-seed2", "scadf-single-seed1", "without-28GHz-seed0"):
        (tmp_path / "runs" / folder).mkdir(parents=True)
        (tmp_path / "runs" / folder / "model.pt").touch()
    (tmp_path / "table.json").write_text(json.dumps(table))
    rows = {name: table[name]["2"] for name in ("scadf-single", "kalman-smoother")}
    asked: list[str] = []
    monkeypatch.setattr(radio_table, "trained_rows", lambda row, folder, data: asked.append(folder.name) or rows)
    assert main(_arguments(whole_folder, tmp_path / "runs", tmp_path)) == 0
    assert asked == ["scadf-single-seed1"]
    found = json.loads((tmp_path / "table.json").read_text())
    assert found == table | {name: {**table[name], "1": figures} for name, figures in rows.items()}


def test_set_that_is_missing_is_told_in_a_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_arguments(tmp_path / "nothing", runs, tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "models.data.build" in line
    assert not (tmp_path / "table.json").exists()


# ---- markdown


def _made_up(**rows: tuple[float, ...]) -> Table:
    """Mean errors by seed, at 6 GHz alone and over all bands."""
    return {
        name.replace("_", "-").replace("-T", " T="): {
            str(seed): {split: {cell: {"position_mean_m": value} for cell in ("all/6 GHz", "all/all")}
                        for split in SPLITS}
            for seed, value in enumerate(values)
        }
        for name, values in rows.items()
    }  # fmt: skip


def _lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_line_has_mean_and_sample_deviation_over_the_seeds() -> None:
    text = markdown(_made_up(scadf_moe=(1.0, 2.0, 6.0), knn=(4.0,)), "unseen-nlos")
    head, _, ours, theirs = _lines(text)
    assert head == ["unseen-nlos", "band", "seeds", *(label for _, label, _ in COLUMNS)]
    assert ours[:4] == ["scadf-moe", "6 GHz", "3", "3.00 ± 2.65"]
    assert theirs[:4] == ["knn", "6 GHz", "1", "4.00"]
    assert set(ours[4:]) == {"–"}  # not measured


def test_lines_come_in_the_order_of_the_rows_with_shorter_histories_after_the_whole() -> None:
    mixed = _made_up(knn=(1.0,), scadf_moe_T8=(1.0,), early_fusion=(1.0,), scadf_moe=(1.0,), scadf_moe_T16=(1.0,))
    names = [line[0] for line in _lines(markdown(mixed, SPLITS[0]))[2:]]
    assert names == ["scadf-moe", "scadf-moe T=8", "scadf-moe T=16", "early-fusion", "knn"]


def test_cells_may_be_chosen() -> None:
    lines = _lines(markdown(_made_up(knn=(1.0, 3.0)), SPLITS[0], ("all/all", "nowhere/6 GHz")))
    assert [line[:4] for line in lines[2:]] == [["knn", "all", "2", "2.00 ± 1.41"]]
