"""The two graphs of a radio artifact as torch modules, and random inputs to check their export with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.novelty import Novelty
from models.systems.scadf_moe import Encoder, Fuser, ScadfMoe
from service.contract.tensors import EMBEDDING_DIM, RADIO_STEPS


class EncodeGraph(nn.Module):
    """Arguments and results in the order of `RADIO_ENCODE_INPUTS` and `RADIO_ENCODE_OUTPUTS`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, csi: Tensor, aoa: Tensor, measured_distance: Tensor, gain: Tensor, cue_mask: Tensor, carrier: Tensor,
        site: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Encoder.forward`."""
        embedding, weight = self.encoder(csi, aoa, measured_distance, gain, cue_mask, carrier, site)
        return embedding, weight


class FuseGraph(nn.Module):
    """Arguments and results in the order of `RADIO_FUSE_INPUTS` and `RADIO_FUSE_OUTPUTS`."""

    def __init__(self, fuser: Fuser, novelty: Novelty) -> None:
        super().__init__()
        self.fuser, self.novelty = fuser, novelty

    def forward(self, embedding: Tensor, age: Tensor, step_mask: Tensor) -> tuple[Tensor, ...]:
        """See `Fuser.forward`; the newest vertex is also given by itself."""
        out = self.fuser(embedding, age, step_mask)
        return (
            out["position"][:, -1],
            out["scale_tril"][:, -1],
            out["los_logit"][:, -1],
            self.novelty(embedding[:, -1]),
            out["step_weight"],
            out["position"],
            out["scale_tril"],
            out["los_logit"],
            out["centroid"],
            out["centroid_scale_tril"],
        )


def sites_of(model: ScadfMoe) -> int:
    """How many sites the model numbers; the next number is any other."""
    return len(model.encoder.site.weight) - 1


def modules(model: ScadfMoe, novelty: Novelty) -> dict[str, nn.Module]:
    """The graphs by name."""
    return {"encode": EncodeGraph(model.encoder).eval(), "fuse": FuseGraph(model.fuser, novelty).eval()}


def random_inputs(
    graph: str, frames: int, rng: np.random.Generator, steps: int = RADIO_STEPS, sites: int = 1
) -> dict[str, NDArray[np.generic]]:
    """Valid random inputs of a graph for trajectories of 1 to `steps` vertices, padded to `steps`; masks are drawn.

    Sites are numbered 0 to `sites`, the last for any other.
    """
    if graph == "encode":
        return {
            "csi": rng.uniform(-1, 1, (frames, 6, 32, 64)).astype(np.float32),
            "aoa": rng.uniform(0, 1, (frames, 64)).astype(np.float32),
            "measured_distance": rng.uniform(0, 4, (frames, 1)).astype(np.float32),
            "gain": rng.uniform(-1, 1, (frames, 1)).astype(np.float32),
            "cue_mask": rng.integers(0, 2, (frames, 4)).astype(np.float32),
            "carrier": np.log10(rng.choice([2.6, 6.0, 28.0], (frames, 1))).astype(np.float32),
            "site": rng.integers(0, sites + 1, frames),
        }
    present = (np.arange(steps) >= steps - rng.integers(1, steps + 1, (frames, 1))).astype(np.float32)
    return {
        "embedding": rng.uniform(-1, 1, (frames, steps, EMBEDDING_DIM)).astype(np.float32) * present[..., None],
        "age": (np.arange(steps)[::-1] * rng.uniform(0.1, 1, (frames, 1))).astype(np.float32) * present,
        "step_mask": present,
    }


@torch.no_grad()
def run_module(module: nn.Module, inputs: dict[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    """What torch makes of the inputs of a graph."""
    return [value.numpy() for value in module(*(torch.from_numpy(array) for array in inputs.values()))]
