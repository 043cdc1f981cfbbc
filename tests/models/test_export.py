from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from models import sample
from models.card import write_card
from models.data.raytraced_set import load
from models.export import main, sample_figures
from models.graphs import TOLERANCE
from models.systems.gated_fusion import GatedFusion
from service.contract.manifest import Calibration, Manifest, contract_fingerprint
from service.demo.recording import read_recording
from tests.models.data.fake_set import SITES, Size, fake_set
from tests.models.toy import recording
from tests.service.engine.artifacts import write_artifact

CALIBRATION = Calibration({"0.90": 4.605}, 1.0, 1.0, 1.0, {})


def test_figures_of_the_sample_are_of_exactly_its_frames(tmp_path: Path, model: GatedFusion) -> None:
    shards = fake_set(tmp_path, plan={"test": 2}, size=Size(snapshots=3, ues=3))
    people = [recording(activity, frames=120, part="test") for activity in (0, 3, 4)]
    lines = sample.street_lines(shards, [0, 1], SITES["toy"], "6 GHz") + sample.people_lines(people)
    scene = load(tmp_path, "held-out-trajectories", "test", "toy", "6 GHz", quiet=True)
    figures = sample_figures(model, CALIBRATION, scene, people)
    assert figures["frames"] == sum(len(line.truth) for line in lines) == 9 + 6 + 12  # one away in the second
    assert set(figures) == {
        "frames", "position_median_m", "position_p95_m", "region_coverage", "los_accuracy", "activity_accuracy",
    }  # fmt: skip
    assert all(np.isfinite(value) for value in figures.values())


def test_card_alone_is_written_anew_from_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "gated-fusion"
    manifest = write_artifact(folder)
    manifest.metrics["parity"] = {"gate": 1e-6}
    manifest.save(folder)
    before = (folder / "manifest.json").read_bytes()
    assert main(["gated-fusion", "--card-only", "--out", str(tmp_path), "--json"]) == 0
    assert (folder / "card.md").read_text().startswith("# tiny 1.0.0")
    assert (folder / "manifest.json").read_bytes() == before


def test_exported_artifact_is_complete_and_agrees_with_itself(exported: Path) -> None:
    manifest = Manifest.load(exported)
    assert manifest.fingerprint == contract_fingerprint()
    for name, digest in manifest.files.items():
        assert hashlib.sha256((exported / f"{name}.onnx").read_bytes()).hexdigest() == digest
    assert {site.name for site in manifest.sites} == {"toy", "radhar"} == set(manifest.calibration.ood_threshold)
    frames = sum(len(exchange.truth) for exchange in read_recording(exported / "sample.jsonl.gz"))
    assert manifest.metrics["sample"]["frames"] == frames == 12 + 40
    assert max(manifest.metrics["parity"].values()) < TOLERANCE
    card = (exported / "card.md").read_text()
    write_card(exported)
    assert (exported / "card.md").read_text() == card


def test_exported_graphs_do_not_tell_who_exported_them(exported: Path) -> None:
    import torch

    for path in exported.glob("*.onnx"):
        content = path.read_bytes()
        for place in (Path(torch.__file__).parents[1], Path(__file__).parents[2], exported):
            assert str(place).encode() not in content
