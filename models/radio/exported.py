"""A radio artifact behind the interface of the torch model, so that both are evaluated by the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor


class ExportedRadio:
    """Runs the graphs in an artifact's folder."""

    device = torch.device("cpu")

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Open the graphs; `threads` of a run, by default one a core."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._graphs = {
            name: ort.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("encode", "fuse")
        }

    def run(self, graph: str, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Outputs of `"encode"` or `"fuse"` by name."""
        session = self._graphs[graph]
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))

    def eval(self) -> None:
        """Nothing to switch: graphs are always in evaluation mode."""

    def encoder(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As `Encoder.forward`."""
        inputs["measured_distance"] = inputs.pop("distance")
        out = self.run("encode", {name: tensor.numpy() for name, tensor in inputs.items()})
        return torch.from_numpy(out["embedding"]), torch.from_numpy(out["router_weight"])

    def fuser(self, embedding: Tensor, age: Tensor, step_mask: Tensor) -> dict[str, Tensor]:
        """As `Fuser.forward`, without the experts."""
        out = self.run("fuse", {"embedding": embedding.numpy(), "age": age.numpy(), "step_mask": step_mask.numpy()})
        named = {
            "position": "path_position", "scale_tril": "path_scale_tril", "los_logit": "path_los_logit",
            "centroid": "centroid", "centroid_scale_tril": "centroid_scale_tril", "step_weight": "step_weight",
        }  # fmt: skip
        return {ours: torch.from_numpy(out[theirs]) for ours, theirs in named.items()}
