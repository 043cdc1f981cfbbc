from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.contract.tensors import GRAPHS
from service.engine.artifact import read_artifact
from service.errors import ArtifactError
from tests.service.engine.artifacts import MUNICH, site, write_artifact

Change = Callable[[dict[str, Any]], object]


def test_a_whole_artifact_is_read(tmp_path: Path) -> None:
    written = write_artifact(tmp_path)
    manifest, graphs = read_artifact(tmp_path)
    assert manifest == written
    assert graphs == {name: (tmp_path / f"{name}.onnx").read_bytes() for name in GRAPHS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(fingerprint="0" * 16), "expected contract fingerprint .*, got 0000000000000000"),
        (lambda m: m["files"].pop("fuse"), r"expected the graphs \['encode', 'fuse'\], got \['encode'\]"),
        (lambda m: m["files"].update(third=""), "expected the graphs"),
        (lambda m: m["files"].update(fuse="0" * 64), "fuse.onnx: expected SHA-256 0000.*, got"),
        (
            lambda m: m.update(contract="sonar"),
            "contract: expected one of multimodal, radio or generic, got 'sonar': export the",
        ),
        (lambda m: m.update(contract="radio"), "expected contract fingerprint"),
        (lambda m: m.pop("calibration"), "not a manifest of this version: 'calibration'"),
        (lambda m: m.update(sites=[]), "expected one or more sites of different names, got"),
        (lambda m: m.update(sites=m["sites"] * 2), r"of different names, got \['munich', 'munich'\]"),
        (lambda m: m["sites"][0].update(tasks=["telepathy"]), r"site 'munich': expected tasks .*got \('telepathy',\)"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path, change: Change, message: str) -> None:
    write_artifact(tmp_path)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=message):
        read_artifact(tmp_path)


def test_a_changed_graph_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    with (tmp_path / "encode.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtifactError, match=r"encode\.onnx: expected SHA-256 .* as in the manifest, got"):
        read_artifact(tmp_path)


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    (tmp_path / "encode.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"encode\.onnx: expected a graph that can be read"):
        read_artifact(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        read_artifact(tmp_path)


def test_several_sites_may_share_an_artifact(tmp_path: Path) -> None:
    write_artifact(tmp_path, sites=(MUNICH, site("paris")))
    assert [s.name for s in read_artifact(tmp_path)[0].sites] == ["munich", "paris"]
