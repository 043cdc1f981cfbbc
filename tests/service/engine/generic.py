"""An artifact of the generic contract: one graph, which doubles its rows and counts them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

GRAPH = """<ir_version: 8, opset_import: ["" : 18]>
model (float[{rows}, 3] x, uint8[{rows}, 2] picture) => (float[{rows}, 3] double, float[{rows}] brightness)
<float two = {{2.0}}, int64[1] last = {{1}}>
{{
    double = Mul (x, two)
    bright = Cast <to = 1> (picture)
    brightness = ReduceMean <keepdims = 0> (bright, last)
}}"""


def write_generic(folder: Path, name: str = "doubler", version: str = "1", **changes: Any) -> None:
    """Write the artifact; `changes` replace members of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    content = onnx.parser.parse_model(GRAPH.format(rows="B")).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    tensors = {
        "inputs": [("x", "float32", ["B", 3]), ("picture", "uint8", ["B", 2])],
        "outputs": [("double", "float32", ["B", 3]), ("brightness", "float32", ["B"])],
    }
    graphs = {
        end: [{"name": n, "dtype": dtype, "shape": shape} for n, dtype, shape in each] for end, each in tensors.items()
    }
    manifest = {
        "name": name,
        "version": version,
        "contract": "generic",
        "files": {"model": hashlib.sha256(content).hexdigest()},
        "graphs": {"model": graphs},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def doubler_inputs(rows: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Tensors that it can be asked with."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 3)).astype(np.float32),
        "picture": rng.integers(0, 256, (rows, 2), np.uint8),
    }
