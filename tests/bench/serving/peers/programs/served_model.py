"""The model as the programs of the peers run it: ONNX Runtime, and a wire form of nothing but the tensors' bytes.

Needs no more than NumPy and ONNX Runtime, since each peer has an environment of its own. A body is every input after
the other, each with all frames; an answer likewise every output. How many frames there are follows from the length.
"""

from __future__ import annotations

import json
import os
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime as ort

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
Arrays = dict[str, np.ndarray]


class ServedModel:
    """One session of one thread. Which model, and where it runs, is told by the environment."""

    def __init__(self) -> None:
        folder, provider = Path(os.environ["BENCH_ARTIFACT"]), PROVIDERS[os.environ["BENCH_PROVIDER"]]
        graph = json.loads((folder / "manifest.json").read_text())["graphs"]["model"]
        self._inputs = [(s["name"], np.dtype(s["dtype"]), tuple(s["shape"][1:])) for s in graph["inputs"]]
        self.outputs = [spec["name"] for spec in graph["outputs"]]
        self._frame_bytes = sum(dtype.itemsize * prod(shape) for _, dtype, shape in self._inputs)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        if provider != PROVIDERS["cpu"]:
            ort.preload_dlls()
        self._session = ort.InferenceSession(folder / "model.onnx", options, [provider])
        if self._session.get_providers()[0] != provider:
            raise RuntimeError(f"expected {provider}, got {self._session.get_providers()}")
        for frames in (1, 8):
            self.answer(bytes(self._frame_bytes * frames))

    def run(self, inputs: Arrays) -> list[np.ndarray]:
        """Outputs in the order of `outputs`."""
        return self._session.run(self.outputs, inputs)

    def split(self, body: bytes | memoryview) -> Arrays:
        """The inputs within a body, without a copy."""
        frames, rest = divmod(len(body), self._frame_bytes)
        if rest or not frames:
            raise ValueError(f"body: expected a multiple of {self._frame_bytes} bytes, got {len(body)}")
        arrays, offset = {}, 0
        for name, dtype, shape in self._inputs:
            count = frames * prod(shape)
            arrays[name] = np.frombuffer(body, dtype, count, offset).reshape(frames, *shape)
            offset += count * dtype.itemsize
        return arrays

    def answer(self, body: bytes | memoryview) -> bytes:
        """What the model says to a body."""
        return b"".join(output.tobytes() for output in self.run(self.split(body)))

    def answers(self, bodies: list[bytes]) -> list[bytes]:
        """What the model says to several bodies, in one run."""
        if len(bodies) == 1:
            return [self.answer(bodies[0])]
        parts = [self.split(body) for body in bodies]
        outputs = self.run({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        rows = np.cumsum([len(next(iter(part.values()))) for part in parts])[:-1]
        cut = zip(*(np.split(output, rows) for output in outputs), strict=True)
        return [b"".join(output.tobytes() for output in outputs) for outputs in cut]
