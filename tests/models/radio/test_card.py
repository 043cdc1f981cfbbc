from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.baselines.radio_knn import RadioMap
from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.radio import card, cost, pictures
from models.radio.card import write_card
from models.radio.cost import Contender, latencies_ms, mflop, of_graphs, of_knn, of_smoother
from models.radio.pictures import draw_cost, draw_router, router_figures
from models.radio.predict import embed, single
from models.radio.rows import TRAINED
from models.radio.table import SPLITS, Table
from models.systems.scadf_config import Config
from models.systems.scadf_moe import Design, ScadfMoe
from service.contract.labels import CUES
from service.contract.manifest import Manifest
from service.contract.tensors import RADIO
from tests.models.radio.runs import write_run
from tests.service.engine.artifacts import STREET, write_artifact

NAMES = tuple(band.name for band in BANDS)
NUMBERED = 6  # sites that a model knows whose cost is counted

# ---- cost


@pytest.fixture(scope="module")
def system() -> ScadfMoe:
    torch.manual_seed(0)
    return ScadfMoe(Design(layers=1), NUMBERED).eval()


class _OneProduct(nn.Module):
    """64 features of N frames to 10, and nothing else that counts."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.layer = name, nn.Linear(64, 10)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.layer(inputs[1] if self.name == "encode" else inputs[0][0, :, :64])


def test_cost_is_two_operations_a_multiply_add(system: ScadfMoe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "modules", lambda *_: {name: _OneProduct(name) for name in ("encode", "fuse")})
    assert mflop(system, steps=5) == pytest.approx(2 * 64 * 10 * (1 + 5) / 1e6)  # a frame encoded, five vertices fused


def test_cost_grows_with_the_vertices_alone(system: ScadfMoe) -> None:
    one, two, sixteen = (mflop(system, steps) for steps in (1, 2, 16))
    vertex = two - one
    assert vertex > 0
    assert sixteen - one == pytest.approx(15 * vertex, rel=0.2)  # but for attention, each costs as much
    assert one - vertex > 3 * vertex  # what is left is the encoder, which runs once


class _Timed:
    """In place of `ExportedRadio`; knows what was asked of it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def run(self, graph: str, inputs: dict[str, NDArray[Any]]) -> None:
        first = inputs["csi" if graph == "encode" else "embedding"]
        self.asked.append((graph, len(first), first.shape[1] if graph == "fuse" else 0))


def test_rows_are_timed_in_rounds_of_an_order_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "ROUNDS", 5)
    asked: list[tuple[str, int]] = []
    found = latencies_ms({n: Contender(1, 1.0, lambda frames, n=n: asked.append((n, frames))) for n in ("a", "b")})
    rounds = [asked[start : start + 2] for start in range(0, len(asked), 2)]
    assert [sorted(each) for each in rounds] == [[("a", b), ("b", b)] for b in (1, 8, 32) for _ in range(6)]
    assert len({each[0][0] for each in rounds}) == 2  # neither always comes first
    assert [(name, list(by_batch)) for name, by_batch in found.items()] == [(n, ["1", "8", "32"]) for n in ("a", "b")]
    assert all(value >= 0 for by_batch in found.values() for value in by_batch.values())


def test_graphs_are_asked_at_their_own_length(system: ScadfMoe) -> None:
    exported = _Timed()
    contender = of_graphs(system, exported, 4)  # type: ignore[arg-type]
    contender.answer(8)
    assert exported.asked == [("encode", 8, 0), ("fuse", 8, 4)]
    assert contender.parameters == sum(p.numel() for p in system.parameters())
    assert contender.mflop == mflop(system, 4)


def test_smoother_costs_the_single_estimates_and_little_more() -> None:
    asked: list[int] = []
    found = of_smoother(Contender(7, 3.0, asked.append))
    found.answer(8)
    assert asked == [8]
    assert found.parameters == 7
    assert 3.0 < found.mflop < 3.1


def test_knn_costs_what_it_keeps_and_compares(radio: dict[str, Radio]) -> None:
    found = of_knn(RadioMap(radio["train"], "image"))
    found.answer(32)
    frames = radio["train"].frames
    of_site = [int((frames.site == number).sum()) for number in range(len(frames.sites))]
    kept = [min(64, count) + 2 for count in of_site]
    assert found.parameters == 3 * sum(count * each for count, each in zip(of_site, kept, strict=True))
    most = max(of_site)
    assert found.mflop == pytest.approx(2 * (512 + most) * min(64, most) / 1e6)


def test_command_line_writes_what_every_row_at_all_bands_costs(
    radio_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = [row for row in TRAINED if row.name in ("scadf-moe", "early-fusion", "only-6GHz")]
    monkeypatch.setattr(cost, "TRAINED", some)
    monkeypatch.setattr(cost, "export_graphs", lambda *_: None)
    monkeypatch.setattr(cost, "ExportedRadio", _Timed)
    monkeypatch.setattr(cost, "ROUNDS", 1)
    arguments = ["--runs", str(tmp_path), "--artifact", str(tmp_path), "--set", str(radio_folder)]
    assert cost.main(arguments) == 2  # neither a table nor a run
    (line,) = capsys.readouterr().err.splitlines()
    assert "table.json" in line
    write_run(tmp_path / "scadf-moe-seed0", Config(layers=1), NUMBERED)
    plain = write_run(tmp_path / "early-fusion-seed0", Config(layers=0, routing="none"), NUMBERED)
    errors = {"scadf-moe": (1.0, 2.0), "early-fusion": (5.0,)}
    table = {
        name: {str(seed): {SPLITS[0]: {"all/all": {"position_mean_m": value}}} for seed, value in enumerate(values)}
        for name, values in errors.items()
    }
    (tmp_path / "table.json").write_text(json.dumps(table))
    assert cost.main(arguments) == 0
    rows = json.loads((tmp_path / "cost.json").read_text())["rows"]
    assert {name: row["mean_m"] for name, row in rows.items()} == {"scadf-moe": 1.5, "early-fusion": 5.0}
    assert rows["early-fusion"]["parameters"] == sum(p.numel() for p in plain.parameters())
    assert rows["early-fusion"]["mflop"] < rows["scadf-moe"]["mflop"]


# ---- router


def test_router_figures_are_mean_weights_and_errors_without_a_cue(untrained: ScadfMoe, radio: dict[str, Radio]) -> None:
    test = radio["test"]
    found = router_figures(untrained, test)
    assert list(found) == list(NAMES)
    truth, los = test.frames.position_m[:, None, :2], test.frames.los
    weight = embed(untrained, test).weight
    for masked, name in ((None, "error_m"), (0, "error_without_csi_m"), (2, "error_without_distance_m")):
        kept = np.ones((len(test.frames), 4), np.float32)
        if masked is not None:
            kept[:, masked] = 0
        error = np.linalg.norm(single(embed(untrained, test, kept)).position_m - truth, axis=-1)
        for number, band in enumerate(NAMES):
            assert found[band]["LoS"][name] == pytest.approx(error[los, number].mean(), abs=2e-3)
            assert found[band]["NLoS"][name] == pytest.approx(error[~los, number].mean(), abs=2e-3)
    for number, band in enumerate(NAMES):
        for path, rows in (("LoS", los), ("NLoS", ~los)):
            mine = [found[band][path][f"weight_{cue}"] for cue in CUES]
            np.testing.assert_allclose(mine, weight[rows, number].mean(0), atol=1e-4)
            errors = [found[band][path][f"error_without_{cue}_m"] for cue in CUES]
            assert all(abs(error - found[band][path]["error_m"]) > 1e-3 for error in errors)


def test_cue_that_a_model_does_not_use_weighs_and_is_worth_nothing(radio: dict[str, Radio]) -> None:
    torch.manual_seed(1)
    model = ScadfMoe(Design(("csi", "aoa", "distance"), layers=1), 2).eval()
    for paths in router_figures(model, radio["test"]).values():
        for path in paths.values():
            assert path["weight_gain"] == 0
            assert path["error_without_gain_m"] == path["error_m"]
            assert path["error_without_csi_m"] != path["error_m"]


def test_near_duplicates_do_not_count(untrained: ScadfMoe, radio: dict[str, Radio]) -> None:
    test = radio["test"]
    some = np.arange(len(test.frames)) % 3 == 0
    marked = replace(test, frames=replace(test.frames, duplicate=some))
    assert router_figures(untrained, marked) == router_figures(untrained, test.take(np.flatnonzero(~some)))


# ---- pictures


def _router(**changes: float) -> dict[str, dict[str, dict[str, float]]]:
    figures = {f"weight_{cue}": 0.25 for cue in CUES} | {f"error_without_{cue}_m": 5.0 for cue in CUES}
    return {band: {path: figures | {"error_m": 3.0} | changes for path in ("LoS", "NLoS")} for band in NAMES}


def _costs() -> dict[str, Any]:
    row = {"parameters": 400_000, "mflop": 12.5, "latency_ms": {"1": 1.0, "8": 3.0, "32": 9.5}, "mean_m": 2.0}
    names = ("scadf-moe", "scadf-single", "scadf-no-moe", "early-fusion", "cnn-image")  # more than there are colours
    return {name: row | {"mflop": 12.5 * (n + 1), "mean_m": 2.0 + n} for n, name in enumerate(names)}


def _picture(path: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
        return picture.format, picture.size


def test_pictures_are_drawn(tmp_path: Path) -> None:
    draw_router(_router(error_without_gain_m=2.5), tmp_path / "router.png")  # better without it
    draw_cost(_costs(), tmp_path / "cost.png")
    assert _picture(tmp_path / "router.png") == ("PNG", (1300, 546))
    assert _picture(tmp_path / "cost.png") == ("PNG", (1300, 598))


def test_command_line_draws_what_it_measures(
    radio_folder: Path,
    untrained: ScadfMoe,
    radio: dict[str, Radio],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pictures, "ExportedRadio", lambda folder: untrained)
    arguments = ["--set", str(radio_folder), "--artifact", str(tmp_path)]
    assert pictures.main(arguments) == 2
    assert "cost.json" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "cost.json").write_text(json.dumps({"rows": _costs()}))
    assert pictures.main(arguments) == 0
    assert json.loads((tmp_path / "router.json").read_text()) == router_figures(untrained, radio["test"])
    assert _picture(tmp_path / "router.png")[0] == _picture(tmp_path / "cost.png")[0] == "PNG"


# ---- card

CELLS = tuple(f"{layout}/{band}" for layout in ("munich", "etoile", "florence") for band in NAMES)


def _figures(mean_m: float, mse_m2: float = 4.0) -> dict[str, float]:
    return {
        "position_mean_m": mean_m, "position_median_m": mean_m / 2, "position_p90_m": 2 * mean_m,
        "position_p95_m": 3 * mean_m, "position_mse_m2": mse_m2, "region_90_coverage": 0.912,
        "los_position_mean_m": mean_m / 4, "los_position_mse_m2": mse_m2 / 5, "nlos_position_mean_m": mean_m,
    }  # fmt: skip


def _row(mean_m: float, mse_m2: float = 4.0, bands: tuple[str, ...] = NAMES) -> dict[str, dict[str, dict[str, float]]]:
    cells = [*(cell for cell in CELLS if cell.split("/")[1] in bands), *(f"all/{b}" for b in bands), "all/all"]
    return {split: {cell: _figures(mean_m, mse_m2) for cell in cells} for split in SPLITS}


def _table() -> Table:
    return {
        "scadf-moe": {"0": _row(3.0), "1": _row(5.0)},
        "scadf-moe T=4": {"0": _row(4.5)},
        "scadf-moe T=1": {"0": _row(6.0), "1": _row(7.0)},
        "scadf-single": {"0": _row(6.25)},
        "scadf-no-moe": {"0": _row(1.0)},  # a variant of the system, no baseline
        "early-fusion": {"0": _row(9.0)},
        "kalman-smoother": {"0": _row(10.0)},
        "knn": {"0": _row(20.0)},
        "weighted-knn": {"0": _row(19.0)},
        "only-28GHz": {"0": _row(0.5, bands=("28 GHz",))},  # not of every band
        "without-28GHz": {"0": _row(31.0, bands=("28 GHz",)), "1": _row(33.0, bands=("28 GHz",))},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact with made-up figures."""
    metrics: dict[str, object] = {"parity": {"position": 1e-6, "los_logit": 3.2e-5}}
    metrics |= {split: {cell: _figures(4.0) for cell in CELLS} for split in SPLITS}
    replace(write_artifact(tmp_path, sites=(STREET,), contract=RADIO), metrics=metrics).save(tmp_path)
    (tmp_path / "cost.json").write_text(json.dumps({"machine": {"cpu": "a toy", "cores": 2}, "rows": _costs()}))
    (tmp_path / "router.json").write_text(json.dumps(_router()))
    return tmp_path


def _card(folder: Path, table: Table | None = None) -> str:
    (folder / "table.json").write_text(json.dumps(table or _table()))
    write_card(folder)
    return (folder / "card.md").read_text()


def _goal(text: str, goal: str) -> str:
    """What the card says beside a goal."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {goal}")]
    return line.strip("| ").split(" | ")[1]


def test_every_goal_has_its_line(folder: Path) -> None:
    text = _card(folder)
    assert _goal(text, "gain of a trajectory") == (
        "T=1: 6.50 m, T=4: 4.50 m, T=16: 4.00 m; trained on single frames: 6.25 m"
    )
    assert _goal(text, "trained on two bands, tested on the third") == "28 GHz: 32.0 m against 4.0 m"
    for goal in ("MSE < 1 m² on held-out trajectories in all nine cells", "unseen NLoS: mean error at most half"):
        assert _goal(text, goal).startswith(("met", "not met"))


def test_third_band_that_was_not_measured_is_not_made_up(folder: Path) -> None:
    table = _table()
    del table["without-28GHz"]
    assert _goal(_card(folder, table), "trained on two bands") == "not measured"


@pytest.mark.parametrize(("worst_m2", "said"), [(0.99, "met"), (1.01, "not met: 8 of 9 cells")])
def test_first_goal_is_met_where_every_cell_is_below_a_square_metre(folder: Path, worst_m2: float, said: str) -> None:
    table = _table()
    table["scadf-moe"] = {"0": _row(3.0, mse_m2=0.5)}
    table["scadf-moe"]["0"][SPLITS[0]]["etoile/6 GHz"]["position_mse_m2"] = worst_m2
    assert _goal(_card(folder, table), "MSE").startswith(said)


def test_cells_are_judged_by_their_mean_over_the_seeds(folder: Path) -> None:
    table = _table()
    table["scadf-moe"] = {str(seed): _row(3.0, mse_m2=value) for seed, value in enumerate((0.5, 2.0))}
    assert _goal(_card(folder, table), "MSE").startswith("not met: 0 of 9 cells, 1.2 to 1.2 m²; in line of sight")


@pytest.mark.parametrize(("ours_m", "said"), [(4.4, "met"), (4.6, "not met")])
def test_second_goal_is_met_at_half_of_the_best_baseline(folder: Path, ours_m: float, said: str) -> None:
    table = _table()
    table["scadf-moe"] = {"0": _row(ours_m - 1), "1": _row(ours_m + 1)}
    found = _goal(_card(folder, table), "unseen NLoS")
    assert found == f"{said}: {ours_m:.1f} m against 9.0 m of early-fusion (20.0 m of knn, 19.0 m of weighted-knn)"


def test_router_is_compared_with_what_the_cues_are_worth(folder: Path) -> None:
    router = _router(weight_distance=0.7, error_without_distance_m=11.04)
    router["6 GHz"]["LoS"]["error_without_csi_m"] = 12.0  # there the router listens to another than is worth most
    (folder / "router.json").write_text(json.dumps(router))
    text = _card(folder)
    cells = "0.25 (5.0) | 0.25 (5.0) | 0.70 (11.0) | 0.25 (5.0)"
    assert f"| 28 GHz | NLoS | {cells} | 3.00 |" in text
    assert "costs most in 5 of 6 rows" in text


def test_card_has_the_figures_of_the_manifest_the_costs_and_the_commands(folder: Path) -> None:
    text = _card(folder)
    assert text.startswith("# tiny 1.0.0")
    assert "Sites: street." in text
    assert "| unseen-nlos | florence, 28 GHz | 4.00 | 2.00 | 8.0 | 12.0 | 4 | 0.912 |" in text
    assert "| early-fusion | 400,000 | 50.0 | 1.00 | 3.00 | 9.50 | 5.00 |" in text
    assert "2 cores of a toy" in text
    assert "largest gap to torch 3.2e-05" in text
    assert "- none: Apache-2.0. made up for tests" in text
    assert all(f"--name {row.name} " in text and row.about in text for row in TRAINED)
    assert '--bands "2.6 GHz,6 GHz"' in text  # as a shell needs it


def test_card_is_the_same_whenever_it_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _card(folder)
    assert card.main(["--artifact", str(folder)]) == 0
    assert (folder / "card.md").read_text() == before
    assert "card.md" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["manifest.json", "table.json", "cost.json", "router.json"])
def test_what_the_card_lacks_is_told_in_a_line(folder: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    _card(folder)
    (folder / missing).unlink()
    assert card.main(["--artifact", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert missing in line


def test_made_up_manifest_is_of_the_radio_contract(folder: Path) -> None:
    assert Manifest.load(folder).tensors is RADIO
