"""The shipped artifact: its files agree with each other, and its graphs do what serving relies on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import models
from models.card import write_card
from models.exported import ExportedModel
from models.graphs import TOLERANCE, random_inputs
from service.api.media import JSON
from service.api.parsing import parse_batch
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import GRAPHS, TRAJECTORY_LEN
from service.demo.recording import Exchange, read_recording
from service.errors import InvalidInput

FOLDER = Path(models.__file__).parent / "zoo" / "gated-fusion"
Inputs = dict[str, NDArray[Any]]
SUBSETS = list(product((0.0, 1.0), repeat=4))  # csi, camera, radar, lidar
RADIO, SCENE = ("csi", "aoa", "distance", "gain"), ("camera", "radar", "lidar")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.load(FOLDER)


@pytest.fixture(scope="module")
def graphs() -> ExportedModel:
    return ExportedModel(FOLDER)


@pytest.fixture(scope="module")
def recording() -> list[Exchange]:
    return read_recording(FOLDER / "sample.jsonl.gz")


def _close(got: Inputs, expected: Inputs) -> None:
    for name, value in expected.items():
        gap = np.abs(got[name] - value) / np.maximum(1, np.abs(value))
        assert gap.max() < TOLERANCE, name


def _garbage(values: NDArray[Any]) -> NDArray[Any]:
    rng = np.random.default_rng(99)
    if values.dtype == np.uint8:
        return rng.integers(0, 256, values.shape, dtype=np.uint8)
    return (1e4 * rng.standard_normal(values.shape)).astype(values.dtype)


def test_files_are_those_that_the_manifest_was_written_for(manifest: Manifest) -> None:
    assert set(manifest.files) == set(GRAPHS)
    for name, digest in manifest.files.items():
        assert hashlib.sha256((FOLDER / f"{name}.onnx").read_bytes()).hexdigest() == digest


def test_artifact_fits_this_code(manifest: Manifest) -> None:
    assert manifest.fingerprint == contract_fingerprint()
    assert manifest.name == FOLDER.name
    expected = {
        n: {"inputs": [s.to_json() for s in i], "outputs": [s.to_json() for s in o]} for n, (i, o) in GRAPHS.items()
    }
    assert manifest.graphs == json.loads(json.dumps(expected))


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_is_valid_and_tells_nothing_of_who_exported_it(manifest: Manifest, name: str) -> None:
    graph = onnx.load(FOLDER / f"{name}.onnx")
    onnx.checker.check_model(graph)
    assert [o.version for o in graph.opset_import if o.domain == ""] == [manifest.opset]
    assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    for place in (b"site-packages", b"/home/", b"/root/", str(Path(models.__file__).parents[1]).encode()):
        assert place not in (FOLDER / f"{name}.onnx").read_bytes()


def test_card_is_what_would_be_written_now(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "copy")
    write_card(tmp_path / "copy")
    assert (tmp_path / "copy" / "card.md").read_text() == (FOLDER / "card.md").read_text(), (
        "card.md is stale: run `python -m models.export gated-fusion --card-only`"
    )


def test_every_figure_is_a_number_and_the_graphs_gave_torchs_numbers(manifest: Manifest) -> None:
    assert {"trajectories", "single frames", "instructions", "radhar windows", "sample", "parity"} <= set(
        manifest.metrics
    )
    for split, figures in manifest.metrics.items():
        assert isinstance(figures, dict)
        assert all(np.isfinite(value) for value in figures.values()), split
    assert max(manifest.metrics["parity"].values()) < TOLERANCE


def test_calibration_is_whole(manifest: Manifest) -> None:
    calibration = manifest.calibration
    quantiles = [calibration.region_quantile[level] for level in ("0.50", "0.90", "0.95")]
    assert 0 < quantiles[0] < quantiles[1] < quantiles[2]
    assert calibration.covariance_scale == pytest.approx(quantiles[1] / 4.60517)
    assert set(calibration.ood_threshold) == {site.name for site in manifest.sites} == {"munich", "radhar"}
    assert min(calibration.ood_threshold.values()) > 0
    assert 0.1 < calibration.los_temperature < 10
    assert 0.1 < calibration.activity_temperature < 10


def test_training_data_are_named_with_their_licences(manifest: Manifest) -> None:
    assert len(manifest.training_data) == len(manifest.sites)
    for data in manifest.training_data:
        assert data["name"]
        assert data["source"]
        assert "NC" not in data["licence"]
    assert len(manifest.commit) == 40


def test_sample_has_the_frames_that_its_figures_are_of(manifest: Manifest, recording: list[Exchange]) -> None:
    figures = manifest.metrics["sample"]
    assert isinstance(figures, dict)
    assert sum(len(exchange.truth) for exchange in recording) == figures["frames"]
    assert {truth.activity is not None for e in recording for truth in e.truth} == {True, False}


def test_service_reads_the_whole_sample(manifest: Manifest, recording: list[Exchange]) -> None:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for exchange in recording:
        batch = parse_batch(JSON, json.dumps(exchange.request).encode(), max_frames=256, max_scenes=64)
        assert [part for part in (*batch.scenes, *batch.frames) if isinstance(part, InvalidInput)] == []
        for frame in exchange.request["frames"]:
            assert manifest.site(frame["site"]) is not None
            times[frame["site"], frame["ue"]].append(frame["timestamp_s"])
    assert all((np.diff(seen) > 0).all() for seen in times.values())
    assert max(len(seen) for seen in times.values()) > 1  # there are trajectories in it


def test_map_shows_the_site_of_the_sample() -> None:
    with np.load(FOLDER / "map.npz", allow_pickle=False) as drawn:
        height, (west, east, south, north) = drawn["height"], drawn["extent"]
    assert np.isfinite(height).all()
    assert height.shape == (round(north - south), round(east - west))
    assert west < 0 < east
    assert south < 0 < north


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(str(int(v)) for v in s))
def test_missing_modality_has_no_weight_and_cannot_change_the_answer(
    graphs: ExportedModel, subset: tuple[float, ...]
) -> None:
    inputs = random_inputs("encode", 3, 6, np.random.default_rng(1))
    inputs["csi_mask"][:] = subset[0]
    inputs["scene_mask"][:] = subset[1:]
    poisoned = dict(inputs)
    for modality, present in zip((RADIO, *((name,) for name in SCENE)), subset, strict=True):
        if not present:
            poisoned |= {name: _garbage(inputs[name]) for name in modality}
    expected, got = graphs.run("encode", inputs), graphs.run("encode", poisoned)
    np.testing.assert_allclose(expected["gate"].sum(1), 1, atol=1e-5)
    if any(subset):
        assert (expected["gate"][:, np.array(subset) == 0] == 0).all()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


def test_frame_alone_is_encoded_as_in_a_batch(graphs: ExportedModel) -> None:
    """Over random masks: the others of a batch, their captures and their number do not matter."""
    inputs = random_inputs("encode", 5, 16, np.random.default_rng(2))
    together = graphs.run("encode", inputs)
    for frame in range(16):
        capture = inputs["scene_index"][frame]
        alone = {name: inputs[name][capture : capture + 1] for name in (*SCENE, "scene_mask")}
        alone |= {name: inputs[name][frame : frame + 1] for name in (*RADIO, "csi_mask")}
        alone["scene_index"] = np.zeros(1, np.int64)
        _close(graphs.run("encode", alone), {name: value[frame : frame + 1] for name, value in together.items()})


def test_order_of_a_batch_does_not_matter(graphs: ExportedModel) -> None:
    rng = np.random.default_rng(3)
    inputs = random_inputs("encode", 4, 9, rng)
    frames, captures = rng.permutation(9), rng.permutation(4)
    shuffled = {name: inputs[name][captures] for name in (*SCENE, "scene_mask")}
    shuffled |= {name: inputs[name][frames] for name in (*RADIO, "csi_mask")}
    shuffled["scene_index"] = np.argsort(captures)[inputs["scene_index"][frames]]
    expected = graphs.run("encode", inputs)
    _close(graphs.run("encode", shuffled), {name: value[frames] for name, value in expected.items()})


@pytest.mark.parametrize("length", range(1, TRAJECTORY_LEN + 1))
def test_trajectory_alone_is_answered_as_in_a_batch_and_without_its_padding(graphs: ExportedModel, length: int) -> None:
    inputs = random_inputs("fuse", 1, 12, np.random.default_rng(length))
    inputs["step_mask"][4] = np.arange(TRAJECTORY_LEN) >= TRAJECTORY_LEN - length
    together = graphs.run("fuse", inputs)
    row = {name: value[4:5] for name, value in inputs.items()}
    expected = {name: value[4:5] for name, value in together.items()}
    _close(graphs.run("fuse", row), expected)
    padding = row["step_mask"] == 0
    poisoned = dict(row)
    strange = 100 * np.random.default_rng(99).standard_normal(row["embedding"].shape).astype(np.float32)
    poisoned["embedding"] = np.where(padding[..., None], strange, row["embedding"])
    poisoned["age"] = np.where(padding, np.float32(500), row["age"])
    _close(graphs.run("fuse", poisoned), expected)
    assert (expected["step_weight"][padding] == 0).all()
    np.testing.assert_allclose(expected["step_weight"].sum(1), 1, atol=1e-5)


def test_covariance_is_positive(graphs: ExportedModel) -> None:
    out = graphs.run("fuse", random_inputs("fuse", 1, 200, np.random.default_rng(5)))
    assert (out["scale_tril"][:, [0, 2]] > 0).all()
    assert all(np.isfinite(value).all() for value in out.values())


def test_strange_embeddings_are_told_from_those_of_the_sites(graphs: ExportedModel, manifest: Manifest) -> None:
    inputs = random_inputs("fuse", 1, 8, np.random.default_rng(6))
    inputs["embedding"] = np.sign(inputs["embedding"])
    assert graphs.run("fuse", inputs)["ood_score"].min() > max(manifest.calibration.ood_threshold.values())
