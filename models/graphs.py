"""The two graphs of an artifact as torch modules, and their export to ONNX with a check of the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.absent_capture import admit_absent
from models.exported import ExportedModel
from models.onnx_file import write_graph
from models.systems.gated_fusion import Encoder, GatedFusion
from service.contract.tensors import (
    ENCODE_INPUTS,
    ENCODE_OUTPUTS,
    FUSE_INPUTS,
    FUSE_OUTPUTS,
    GRAPHS,
    TEXT_LEN,
    TRAJECTORY_LEN,
)  # fmt: skip
from service.normalizers.text import VOCABULARY

TOLERANCE = 1e-4  # relative to the larger of 1 and the value


class EncodeGraph(nn.Module):
    """Arguments and results in the order of `ENCODE_INPUTS` and `ENCODE_OUTPUTS`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, camera: Tensor, radar: Tensor, lidar: Tensor, scene_mask: Tensor, csi: Tensor, aoa: Tensor,
        distance: Tensor, gain: Tensor, csi_mask: Tensor, scene_index: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Encoder.forward`."""
        embedding, gate, _ = self.encoder(
            camera, radar, lidar, scene_mask, csi, aoa, distance, gain, csi_mask, scene_index
        )
        return embedding, gate


class FuseGraph(nn.Module):
    """Arguments and results in the order of `FUSE_INPUTS` and `FUSE_OUTPUTS`: the answers at the newest step."""

    def __init__(self, model: GatedFusion) -> None:
        super().__init__()
        self.fuser, self.novelty = model.fuser, model.novelty

    def forward(self, embedding: Tensor, age: Tensor, step_mask: Tensor, text: Tensor) -> tuple[Tensor, ...]:
        """See `Fuser.forward`."""
        out = self.fuser(embedding, age, step_mask, text)
        return (
            out["position"][:, -1],
            out["scale_tril"][:, -1],
            out["los_logit"][:, -1],
            out["activity_logits"][:, -1],
            out["task_logits"],
            self.novelty(embedding[:, -1]),
            out["step_weight"][:, -1],
        )


def export_graphs(model: GatedFusion, folder: Path) -> None:
    """Write `encode.onnx` and `fuse.onnx` with free batch dimensions."""
    model = model.eval()
    for name, module in {"encode": EncodeGraph(model.encoder), "fuse": FuseGraph(model)}.items():
        inputs = random_inputs(name, captures=3, frames=5, rng=np.random.default_rng(0))
        specs, results = GRAPHS[name]
        free = {spec.name: {axis: d for axis, d in enumerate(spec.shape) if d in ("S", "B")} for spec in specs}
        write_graph(module, inputs, free, [spec.name for spec in results], folder / f"{name}.onnx")
    admit_absent(folder / "encode.onnx")


def random_inputs(
    graph: str, captures: int, frames: int, rng: np.random.Generator, steps: int = TRAJECTORY_LEN
) -> dict[str, NDArray[np.generic]]:
    """Valid random inputs of a graph; masks are drawn too, `steps` is the longest trajectory."""
    if graph == "encode":
        return {
            "camera": rng.integers(0, 256, (captures, 3, 96, 192), dtype=np.uint8),
            "radar": rng.exponential(0.1, (captures, 4, 64, 64)).astype(np.float32),
            "lidar": rng.exponential(0.1, (captures, 3, 64, 64)).astype(np.float32),
            "scene_mask": rng.integers(0, 2, (captures, 3)).astype(np.float32),
            "csi": rng.uniform(-1, 1, (frames, 6, 32, 64)).astype(np.float32),
            "aoa": rng.uniform(0, 1, (frames, 64)).astype(np.float32),
            "distance": rng.uniform(0, 1.9, (frames, 1)).astype(np.float32),
            "gain": rng.uniform(-1, 1, (frames, 1)).astype(np.float32),
            "csi_mask": rng.integers(0, 2, (frames, 1)).astype(np.float32),
            "scene_index": rng.integers(0, max(captures, 1), frames),
        }
    present = (np.arange(TRAJECTORY_LEN) >= TRAJECTORY_LEN - rng.integers(1, steps + 1, (frames, 1))).astype(np.float32)
    return {
        "embedding": rng.uniform(-1, 1, (frames, TRAJECTORY_LEN, 128)).astype(np.float32) * present[..., None],
        "age": (np.arange(TRAJECTORY_LEN)[::-1] * rng.uniform(0.1, 1, (frames, 1))).astype(np.float32) * present,
        "step_mask": present,
        "text": rng.integers(0, len(VOCABULARY), (frames, TEXT_LEN)),
    }


def with_empty_capture(inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Inputs of the `encode` graph with one capture more, in which everything is missing: what `none` refers to."""
    specs = [spec for spec in ENCODE_INPUTS if spec.shape[0] == "S"]
    empty = {spec.name: np.zeros((1, *map(int, spec.shape[1:])), spec.dtype) for spec in specs}
    return {**inputs, **{name: np.concatenate([inputs[name], row]) for name, row in empty.items()}}


def parity(model: GatedFusion, folder: Path, seed: int = 0) -> dict[str, float]:
    """Largest difference of each output between torch and ONNX Runtime, relative to max(1, |value|).

    Over batch sizes 1 to 33, captures 0 to 7, random masks and every length of trajectory. Some frames refer to no
    capture: torch, which cannot say so, sees an empty one.
    """
    exported = ExportedModel(folder)
    modules = {"encode": EncodeGraph(model.eval().encoder), "fuse": FuseGraph(model)}
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}
    for captures, frames, steps in ((0, 4, 1), (1, 1, 1), (1, 2, 2), (2, 7, 3), (5, 16, 5), (7, 33, TRAJECTORY_LEN)):
        for name, (specs_in, specs_out) in (
            ("encode", (ENCODE_INPUTS, ENCODE_OUTPUTS)),
            ("fuse", (FUSE_INPUTS, FUSE_OUTPUTS)),
        ):
            inputs = random_inputs(name, captures, frames, rng, steps)
            seen = inputs
            if name == "encode":
                inputs["scene_index"][::3] = captures  # none
                seen = with_empty_capture(inputs)
            with torch.no_grad():
                expected = modules[name](*(torch.from_numpy(seen[s.name]) for s in specs_in))
            got = exported.run(name, inputs)
            for spec, value in zip(specs_out, expected, strict=True):
                reference = value.numpy()
                gap = np.abs(got[spec.name] - reference) / np.maximum(1, np.abs(reference))
                worst[spec.name] = max(worst.get(spec.name, 0.0), float(gap.max()))
    return worst
