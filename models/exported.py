"""An exported artifact behind the interface of the torch model, so that both are evaluated by the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.tensors import ENCODE_INPUTS, TRAJECTORY_LEN


class ExportedModel:
    """Runs the graphs of an artifact's folder. Missing modalities become zeros under a zero mask, as in serving."""

    def __init__(self, folder: Path) -> None:
        self._graphs = {
            name: ort.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
            for name in ("encode", "fuse")
        }

    def run(self, graph: str, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Outputs of `"encode"` or `"fuse"` by name."""
        session = self._graphs[graph]
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))

    def eval(self) -> None:
        """Nothing to switch: graphs are always in evaluation mode."""

    def encoder(self, **inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Encoder.forward`."""
        scene_mask, csi_mask = inputs["scene_mask"], inputs["csi_mask"]
        assert scene_mask is not None
        assert csi_mask is not None
        captures, frames = len(scene_mask), len(csi_mask)
        if inputs["scene_index"] is None:
            inputs["scene_index"] = torch.arange(captures).repeat_interleave(frames // captures)
        arrays = {}
        for spec in ENCODE_INPUTS:
            given = inputs[spec.name]
            rows = captures if spec.shape[0] == "S" else frames
            arrays[spec.name] = (
                np.zeros((rows, *spec.shape[1:]), spec.dtype)
                if given is None
                else np.ascontiguousarray(given.numpy().astype(spec.dtype))
            )
        out = self.run("encode", arrays)
        return torch.from_numpy(out["embedding"]), torch.from_numpy(out["gate"])

    def fuser(self, embedding: Tensor, age: Tensor, step_mask: Tensor, text: Tensor) -> dict[str, Tensor]:
        """As `Fuser.forward`, at the newest step only (a time axis of length 1)."""
        pad = TRAJECTORY_LEN - age.shape[1]
        out = self.run(
            "fuse",
            {
                "embedding": torch.nn.functional.pad(embedding, (0, 0, pad, 0)).numpy(),
                "age": torch.nn.functional.pad(age, (pad, 0)).numpy(),
                "step_mask": torch.nn.functional.pad(step_mask, (pad, 0)).numpy(),
                "text": text.numpy(),
            },
        )
        per_step = ("position", "scale_tril", "los_logit", "activity_logits")
        answers = {name: torch.from_numpy(out[name]) for name in out}
        return {name: value.unsqueeze(1) if name in per_step else value for name, value in answers.items()}
