"""Open Inference Protocol v2 over HTTP, tensors as bytes behind the JSON (the binary tensor data extension)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod

import numpy as np

from tests.bench.serving.frames import Arrays
from tests.bench.serving.http_load import HttpLoad
from tests.bench.serving.tensors import OUTPUTS
from tests.bench.serving.wire import Answer, Request

DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
DTYPES = {datatype: np.dtype(dtype) for dtype, datatype in DATATYPES.items()}
_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class OipHttp(HttpLoad):
    """See `tests.bench.serving.wire.Wire`."""

    def request(self, model: str, frames: Arrays) -> Request:
        """As `tritonclient.http` would write it, with every output asked for as bytes."""
        tensors = {name: np.ascontiguousarray(array) for name, array in frames.items()}
        head = {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": DATATYPES[array.dtype.name],
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, array in tensors.items()
            ],
            "outputs": [{"name": spec.name, "parameters": {"binary_data": True}} for spec in OUTPUTS],
        }
        header = json.dumps(head, separators=(",", ":")).encode()
        return Request(
            f"/v2/models/{model}/infer",
            header + b"".join(array.tobytes() for array in tensors.values()),
            {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(header))},
        )

    def parse(self, answer: Answer) -> Arrays:
        """Outputs by name."""
        length = int(answer.headers[_HEADER_LENGTH.lower()])
        arrays: Arrays = {}
        offset = length
        for output in json.loads(answer.body[:length])["outputs"]:
            dtype, shape = DTYPES[output["datatype"]], output["shape"]
            arrays[output["name"]] = np.frombuffer(answer.body, dtype, prod(shape), offset).reshape(shape)
            offset += output["parameters"]["binary_data_size"]
        if offset != len(answer.body):
            raise ValueError(f"answer: expected {offset} bytes, got {len(answer.body)}")
        return arrays
