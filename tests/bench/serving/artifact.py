"""A model of the bench as cellsense serves it: a folder with `model.onnx` and the manifest that describes it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.bench.serving.bench_model import Size, build
from tests.bench.serving.tensors import INPUTS, OUTPUTS

MODEL = "model.onnx"


def write_artifact(parent: Path, size: Size) -> Path:
    """Write `<parent>/<name>/`; returns that folder."""
    folder = parent / size.name
    folder.mkdir(parents=True, exist_ok=True)
    content = build(size).SerializeToString(deterministic=True)
    (folder / MODEL).write_bytes(content)
    manifest = {
        "name": size.name,
        "version": "1",
        "contract": "generic",
        "files": {"model": hashlib.sha256(content).hexdigest()},
        "graphs": {
            "model": {"inputs": [spec.to_json() for spec in INPUTS], "outputs": [spec.to_json() for spec in OUTPUTS]}
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return folder
