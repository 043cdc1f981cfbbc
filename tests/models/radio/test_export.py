from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.data.radio_batches import Radio
from models.data.shards import ShardSet
from models.novelty import Novelty
from models.onnx_file import OPSET
from models.radio import evaluate, export
from models.radio.export import TOLERANCE, parity
from models.radio.exported import ExportedRadio
from models.radio.graphs import modules, random_inputs, run_module
from models.radio.predict import embed
from models.radio.table import SPLITS, load_run
from models.systems.scadf_config import Config
from models.systems.scadf_moe import ScadfMoe
from service.api.media import JSON
from service.api.parsing import parse_batch
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import RADIO, RADIO_STEPS
from service.demo.recording import read_recording
from service.engine.onnx_engine import OnnxEngine
from service.pipeline import SiteFrame
from tests.models.data.fake_set import SITES, fake_set
from tests.models.radio.runs import write_run

CARRIERS_HZ = (2.6e9, 6e9, 28e9)
NUMBERED = 6  # sites that the exported weights know; a set may hold fewer of them


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("radio-run") / "scadf-moe-seed0"
    write_run(folder, Config(layers=1), NUMBERED)
    return folder


@pytest.fixture(scope="module")
def artifact(whole_folder: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line makes of untrained weights. Tests must not change it."""
    zoo = tmp_path_factory.mktemp("radio-zoo")
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        patched.setattr(export, "SAMPLE_SITE", "toy-east")
        warnings.simplefilter("ignore")  # torch's exporter calls what torch has deprecated
        assert export.main(["--run", str(run), "--set", str(whole_folder), "--out", str(zoo), "--json"]) == 0
    return zoo / "scadf-moe"


@pytest.fixture(scope="module")
def manifest(artifact: Path) -> Manifest:
    return Manifest.load(artifact)


def _gap(found: NDArray[Any], expected: NDArray[Any]) -> float:
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


def test_artifact_is_served_and_answers_as_its_graphs(artifact: Path) -> None:
    engine = OnnxEngine.load(artifact, intra_op_threads=1)
    exported, rng = ExportedRadio(artifact, threads=1), np.random.default_rng(0)
    for graph in ("encode", "fuse"):
        inputs = random_inputs(graph, 3, rng)
        found = engine.run(graph, inputs)
        assert list(found) == [spec.name for spec in RADIO.graphs[graph][1]]
        for name, expected in exported.run(graph, inputs).items():
            assert _gap(found[name], expected) < 1e-5, name


@pytest.mark.parametrize(("frames", "steps"), [(1, 1), (1, RADIO_STEPS), (4, 2), (19, 7)])
def test_graphs_agree_with_torch_at_any_batch_length_and_mask(
    artifact: Path, run: Path, frames: int, steps: int
) -> None:
    exported, torch_modules = ExportedRadio(artifact, threads=1), modules(load_run(run)[0], Novelty(1))
    rng = np.random.default_rng(frames)
    for graph, (_, results) in RADIO.graphs.items():
        inputs = random_inputs(graph, frames, rng, steps)
        if graph == "encode":
            inputs["cue_mask"][0] = 0  # nothing was measured
        found = exported.run(graph, inputs)
        for spec, expected in zip(results, run_module(torch_modules[graph], inputs), strict=True):
            if spec.name == "ood_score":  # of another fit
                continue
            there = inputs["step_mask"] > 0 if spec.name.startswith("path_") else slice(None)
            assert found[spec.name].shape == expected.shape
            assert _gap(found[spec.name][there], expected[there]) < TOLERANCE, spec.name


def test_exported_graphs_embed_as_torch_does(artifact: Path, run: Path, radio: dict[str, Radio]) -> None:
    some = radio["val"].take(np.arange(0, len(radio["val"].frames), 5))
    found, expected = (embed(model, some) for model in (ExportedRadio(artifact, threads=1), load_run(run)[0]))
    assert _gap(found.embedding, expected.embedding) < 2e-3  # they are kept in half precision
    assert _gap(found.weight, expected.weight) < TOLERANCE


def _twin(model: ScadfMoe, wrong: str | None = None) -> tuple[Callable[[Path], object], set[int]]:
    """In place of `ExportedRadio`: the graphs in torch with a gap in one output, and the sites asked for."""
    asked: set[int] = set()

    class Twin:
        def __init__(self, folder: Path) -> None:
            self._graphs = modules(model, Novelty(1))

        def run(self, graph: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
            asked.update(inputs["site"].tolist() if graph == "encode" else ())
            out = run_module(self._graphs[graph], inputs)
            named = dict(zip([spec.name for spec in RADIO.graphs[graph][1]], out, strict=True))
            return {name: value + (5 * TOLERANCE if name == wrong else 0) for name, value in named.items()}

    return Twin, asked


@pytest.mark.parametrize("wrong", ["router_weight", "path_los_logit"])
def test_gap_of_one_output_is_found(run: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    model = load_run(run)[0]
    monkeypatch.setattr(export, "ExportedRadio", _twin(model, wrong)[0])
    gaps = parity(model, Novelty(1), Path())
    assert set(gaps) == {spec.name for _, results in RADIO.graphs.values() for spec in results}
    assert {name for name, gap in gaps.items() if gap > TOLERANCE} == {wrong}


@pytest.mark.parametrize("sites", [1, 2, 9])
def test_parity_asks_for_the_sites_that_the_model_knows(monkeypatch: pytest.MonkeyPatch, sites: int) -> None:
    model = ScadfMoe(Config(layers=0).design, sites).eval()
    twin, asked = _twin(model)
    monkeypatch.setattr(export, "ExportedRadio", twin)
    assert max(parity(model, Novelty(1), Path()).values()) == 0
    assert {0, sites} <= asked <= set(range(sites + 1))  # the last is any other


def test_graphs_that_differ_from_torch_are_no_artifact(
    whole_folder: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "SAMPLE_SITE", "toy")
    monkeypatch.setattr(export, "export_graphs", lambda *_: None)
    monkeypatch.setattr(export, "parity", lambda *_: {"position": 2 * TOLERANCE})
    assert export.main(["--run", str(run), "--set", str(whole_folder), "--out", str(tmp_path), "--json"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "position" in line
    assert not list(tmp_path.rglob("manifest.json"))


def test_manifest_says_what_was_exported_and_from_what(artifact: Path, manifest: Manifest, whole_folder: Path) -> None:
    assert (manifest.name, manifest.contract, manifest.opset) == ("scadf-moe", "radio", OPSET)
    assert manifest.fingerprint == contract_fingerprint(RADIO)
    assert set(manifest.files) == set(manifest.graphs) == set(RADIO.graphs)
    for name, digest in manifest.files.items():
        assert hashlib.sha256((artifact / f"{name}.onnx").read_bytes()).hexdigest() == digest
    assert [site.name for site in manifest.sites] == ["toy", "toy-east"]  # in the order of the model's numbers
    for site in manifest.sites:
        assert site.tasks == ("position", "los")
        assert site.carriers == CARRIERS_HZ
        assert site.boresight_deg == SITES[site.name].boresight_deg
    (data,) = manifest.training_data
    assert ShardSet.open(whole_folder).fingerprint in data["name"]
    assert "toy, toy-east" in data["name"]
    assert "ODbL" in data["licence"]
    assert max(manifest.metrics["parity"].values()) < TOLERANCE


def test_manifest_has_a_calibration_of_every_carrier_and_figures_of_every_part(manifest: Manifest) -> None:
    assert set(manifest.carriers) == {f"{hertz:.0f}" for hertz in CARRIERS_HZ}
    for calibration in (manifest.calibration, *manifest.carriers.values()):
        assert set(calibration.ood_threshold) == {"toy", "toy-east"}
        for quantile in (calibration.region_quantile, calibration.path_quantile, calibration.centroid_quantile):
            assert 0 < quantile["0.50"] <= quantile["0.90"] <= quantile["0.95"]
    bands = ("2.6 GHz", "6 GHz", "28 GHz")
    cells = {f"{name}/{band}" for name in ("toy", "all", "path", "centroid") for band in bands} | {"all/all"}
    for split in SPLITS:
        assert set(manifest.metrics[split]) == cells
    assert "los_position_mean_m" not in manifest.metrics["unseen-nlos"]["all/all"]


def test_sample_is_one_held_out_episode_on_every_carrier_with_the_truth(
    artifact: Path, manifest: Manifest, whole_folder: Path
) -> None:
    shards, exchanges = ShardSet.open(whole_folder), read_recording(artifact / "sample.jsonl.gz")
    number = shards.recipe.purposes("toy-east").index("test")
    arrays = shards.read("toy-east", number)
    assert len(exchanges) == 4  # snapshots
    for k, exchange in enumerate(exchanges):
        ues: dict[str, set[float]] = {}
        for frame, truth in zip(exchange.request["frames"], exchange.truth, strict=True):
            assert (frame["site"], frame["timestamp_s"]) == ("toy-east", arrays["time_s"][k])
            episode, _, ue, _ = frame["ue"].split("-")
            assert int(episode) == number
            ues.setdefault(ue, set()).add(frame["carrier_hz"])
            np.testing.assert_allclose(truth.position_enu_m, arrays["ue_position_m"][k, int(ue), :2], atol=1e-3)
            assert truth.los == (arrays["blocker"][k, int(ue)] == 0)
            measured = arrays["distance_m"][k, int(ue), CARRIERS_HZ.index(frame["carrier_hz"])]
            assert frame.get("distance_m", np.nan) == pytest.approx(measured, abs=1e-3, nan_ok=True)
        assert ues == {str(ue): set(CARRIERS_HZ) for ue in np.flatnonzero(arrays["ue_present"])}
        parsed = parse_batch(JSON, json.dumps(exchange.request).encode(), 4096, 64).frames
        assert all(isinstance(entry, SiteFrame) for entry in parsed)
    assert any("distance_m" not in frame for exchange in exchanges for frame in exchange.request["frames"])
    assert manifest.metrics["sample"]["frames"] == sum(len(exchange.truth) for exchange in exchanges)


def test_map_is_of_the_ground_of_the_sample(artifact: Path) -> None:
    with np.load(artifact / "map.npz") as ground:
        assert ground["height"].shape == (400, 400)
        assert ground["extent"].tolist() == [-200, 200, -200, 200]


def test_exported_graphs_do_not_tell_who_exported_them(artifact: Path) -> None:
    for path in artifact.glob("*.onnx"):
        content = path.read_bytes()
        for place in (Path(torch.__file__).parents[1], Path(__file__).parents[3], artifact):
            assert str(place).encode() not in content


def test_figures_of_the_manifest_are_reproduced(
    artifact: Path, whole_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--set", str(whole_folder), "--artifact", str(artifact), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["differences"], said["same_set"]) == ([], True)
    assert set(said["figures"]) == set(SPLITS)


def test_figure_that_was_changed_in_the_manifest_is_named(
    artifact: Path, whole_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(artifact, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["metrics"]["unseen-region"]["path/6 GHz"]["position_p90_m"] += 3.0
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert evaluate.main(["--set", str(whole_folder), "--artifact", str(folder), "--json"]) == 1
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert all(part in difference for part in ("unseen-region", "path/6 GHz", "position_p90_m"))


def test_card_of_another_set_is_not_compared(
    artifact: Path, whole_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(artifact, folder)
    text = (folder / "manifest.json").read_text()
    fingerprint = ShardSet.open(whole_folder).fingerprint
    (folder / "manifest.json").write_text(text.replace(fingerprint, "0" * len(fingerprint)))
    assert evaluate.main(["--set", str(whole_folder), "--artifact", str(folder), "--json"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fingerprint in line


def test_missing_set_part_or_run_is_told_in_a_line(
    run: Path, artifact: Path, whole_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing, out = str(tmp_path / "nothing"), ["--out", str(tmp_path / "zoo"), "--json"]
    few = fake_set(tmp_path / "few", plan={"train": 1, "val": 1, "test": 1}).folder
    for expected, status in (
        ("models.data.build", lambda: export.main(["--run", str(run), "--set", nothing, *out])),
        ("unseen-region", lambda: export.main(["--run", str(run), "--set", str(few), *out])),
        (nothing, lambda: export.main(["--run", nothing, "--set", str(whole_folder), *out])),
        ("models.data.build", lambda: evaluate.main(["--artifact", str(artifact), "--set", nothing, "--json"])),
        (nothing, lambda: evaluate.main(["--artifact", nothing, "--set", str(whole_folder), "--json"])),
    ):
        assert status() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
    assert not list(tmp_path.rglob("manifest.json"))
