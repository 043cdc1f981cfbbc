"""Tensor specifications: the single description of every array that crosses a border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Dim = int | str


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor. A string in `shape` is a free dimension (`"B"` frames, `"S"` scene captures, `"T"` steps)."""

    name: str
    dtype: str  # NumPy dtype name
    shape: tuple[Dim, ...]
    layout: str  # the axes in words, e.g. "frame, plane, azimuth, delay"
    unit: str
    low: float | None = None  # smallest legal value, None where unbounded
    high: float | None = None
    least: int = 1  # size of a free dimension

    def check(self, array: NDArray[np.generic]) -> None:
        """Raise `ValueError` naming the tensor, what was expected and what came.

        Args:
            array: the candidate.
        """
        if array.dtype != np.dtype(self.dtype):
            raise ValueError(f"{self.name}: expected dtype {self.dtype}, got {array.dtype}")
        if not self.fits(array.shape):
            raise ValueError(f"{self.name}: expected shape {list(self.shape)}, got {list(array.shape)}")

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor may have a shape."""
        return len(shape) == len(self.shape) and all(
            size >= self.least if isinstance(dim, str) else size == dim
            for dim, size in zip(self.shape, shape, strict=True)
        )

    def to_json(self) -> dict[str, object]:
        """The specification as JSON-ready values; what is the same for nearly all is left out."""
        described = {**asdict(self), "shape": list(self.shape)}
        if self.least == 1:
            del described["least"]
        return described

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """The inverse of `to_json`; name, dtype and shape are enough. Raises `ValueError`."""
        try:
            spec = cls(**{"layout": "", "unit": "", **data, "shape": tuple(data["shape"])})
            known = np.dtype(spec.dtype).name == spec.dtype
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected a tensor with name, dtype and shape, got {data!r}") from error
        sizes = all(isinstance(d, str) or (type(d) is int and d >= 1) for d in spec.shape)
        least = type(spec.least) is int and spec.least >= ("B" in spec.shape)  # somebody must wait for an answer
        if not (known and sizes and least and isinstance(spec.name, str)):
            raise ValueError(
                f"expected the name of a NumPy dtype, sizes or names of free ones, and the least of these, got {data!r}"
            )
        return spec


EMBEDDING_DIM = 128  # D, length of a frame's embedding in the trajectory buffer
TRAJECTORY_LEN = 8  # T of the multimodal contract, most frames of one UE that are fused into an answer
TEXT_LEN = 16  # L, tokens of an instruction

ENCODE_INPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("camera", "uint8", ("S", 3, 96, 192), "capture, rgb, row, column", "intensity", 0, 255, least=0),
    TensorSpec(
        "radar", "float32", ("S", 4, 64, 64), "capture, plane, row, column", "log1p of summed weight", 0, least=0
    ),
    TensorSpec("lidar", "float32", ("S", 3, 64, 64), "capture, plane, azimuth, range", "1", 0, least=0),
    TensorSpec(
        "scene_mask", "float32", ("S", 3), "capture, (camera, radar, lidar)", "1 present, 0 missing", 0, 1, least=0
    ),
    TensorSpec("csi", "float32", ("B", 6, 32, 64), "frame, plane, azimuth, delay", "1", -1, 1),
    TensorSpec("aoa", "float32", ("B", 64), "frame, azimuth", "1, of the strongest direction", 0, 1),
    TensorSpec("distance", "float32", ("B", 1), "frame, value", "100 m", 0),
    TensorSpec("gain", "float32", ("B", 1), "frame, value", "(dBm + 90) / 30"),
    TensorSpec("csi_mask", "float32", ("B", 1), "frame, value", "1 present, 0 missing", 0, 1),
    TensorSpec("scene_index", "int64", ("B",), "frame", "row of its capture, their number for none", 0),
)
ENCODE_OUTPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("embedding", "float32", ("B", EMBEDDING_DIM), "frame, feature", "1"),
    TensorSpec("gate", "float32", ("B", 4), "frame, (csi, camera, radar, lidar)", "weight, rows sum to 1", 0, 1),
)
FUSE_INPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("embedding", "float32", ("B", "T", EMBEDDING_DIM), "frame, step (oldest first), feature", "1"),
    TensorSpec("age", "float32", ("B", "T"), "frame, step", "s before the newest step", 0),
    TensorSpec(
        "step_mask", "float32", ("B", "T"), "frame, step", "1 present, 0 padding; the last step is present", 0, 1
    ),
    TensorSpec("text", "int64", ("B", TEXT_LEN), "frame, token", "vocabulary id, 0 is padding", 0),
)
FUSE_OUTPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("position", "float32", ("B", 2), "frame, (forward, left)", "m in the mast frame"),
    TensorSpec("scale_tril", "float32", ("B", 3), "frame, (l11, l21, l22) of the covariance's Cholesky factor", "m"),
    TensorSpec("los_logit", "float32", ("B",), "frame", "log-odds of line of sight, uncalibrated"),
    TensorSpec("activity_logits", "float32", ("B", 5), "frame, class", "1, uncalibrated"),
    TensorSpec(
        "task_logits", "float32", ("B", 3), "frame, (position, los, activity)", "log-odds that the text asks for it"
    ),
    TensorSpec(
        "ood_score", "float32", ("B",), "frame", "squared Mahalanobis distance / D to the training embeddings", 0
    ),
    TensorSpec(
        "step_weight", "float32", ("B", "T"), "frame, step", "attention of the position task, rows sum to 1", 0, 1
    ),
)
RADIO_STEPS = 16  # T of the radio contract
RADIO_ENCODE_INPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("csi", "float32", ("B", 6, 32, 64), "frame, plane, azimuth, delay", "1", -1, 1),
    TensorSpec("aoa", "float32", ("B", 64), "frame, azimuth", "1, of the strongest direction", 0, 1),
    TensorSpec("measured_distance", "float32", ("B", 1), "frame, value", "100 m, half of a round trip", 0),
    TensorSpec("gain", "float32", ("B", 1), "frame, value", "(dBm + 90) / 30"),
    TensorSpec("cue_mask", "float32", ("B", 4), "frame, (csi, aoa, distance, gain)", "1 present, 0 missing", 0, 1),
    TensorSpec("carrier", "float32", ("B", 1), "frame, value", "log10 of the carrier in GHz"),
    TensorSpec("site", "int64", ("B",), "frame", "row of the manifest's sites, their number for any other", 0),
)
RADIO_ENCODE_OUTPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("embedding", "float32", ("B", EMBEDDING_DIM), "frame, feature", "1"),
    TensorSpec("router_weight", "float32", ("B", 4), "frame, (csi, aoa, distance, gain)", "rows sum to 1", 0, 1),
)
RADIO_FUSE_INPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("embedding", "float32", ("B", RADIO_STEPS, EMBEDDING_DIM), "frame, step (oldest first), feature", "1"),
    TensorSpec("age", "float32", ("B", RADIO_STEPS), "frame, step", "s before the newest step", 0),
    TensorSpec(
        "step_mask", "float32", ("B", RADIO_STEPS), "frame, step", "1 present, 0 padding; the last is present", 0, 1
    ),
)
_CHOLESKY = "(l11, l21, l22) of the covariance's Cholesky factor"
RADIO_FUSE_OUTPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("position", "float32", ("B", 2), "frame, (forward, left)", "m in the mast frame"),
    TensorSpec("scale_tril", "float32", ("B", 3), f"frame, {_CHOLESKY}", "m"),
    TensorSpec("los_logit", "float32", ("B",), "frame", "log-odds of line of sight, uncalibrated"),
    TensorSpec(
        "ood_score", "float32", ("B",), "frame", "squared Mahalanobis distance / D to the training embeddings", 0
    ),
    TensorSpec(
        "step_weight", "float32", ("B", RADIO_STEPS), "frame, step", "of each in the line through all, sums to 1", 0, 1
    ),
    TensorSpec("path_position", "float32", ("B", RADIO_STEPS, 2), "frame, step, (forward, left)", "m, by all steps"),
    TensorSpec("path_scale_tril", "float32", ("B", RADIO_STEPS, 3), f"frame, step, {_CHOLESKY}", "m"),
    TensorSpec("path_los_logit", "float32", ("B", RADIO_STEPS), "frame, step", "log-odds of line of sight"),
    TensorSpec("centroid", "float32", ("B", 2), "frame, (forward, left)", "m, mean of the steps"),
    TensorSpec("centroid_scale_tril", "float32", ("B", 3), f"frame, {_CHOLESKY}", "m"),
)

Graphs = dict[str, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]]
GRAPHS: Graphs = {"encode": (ENCODE_INPUTS, ENCODE_OUTPUTS), "fuse": (FUSE_INPUTS, FUSE_OUTPUTS)}
"""The two graphs of an artifact of the *multimodal* contract: inputs and outputs in this order."""
RADIO_GRAPHS: Graphs = {
    "encode": (RADIO_ENCODE_INPUTS, RADIO_ENCODE_OUTPUTS),
    "fuse": (RADIO_FUSE_INPUTS, RADIO_FUSE_OUTPUTS),
}
"""Those of the *radio* contract."""


@dataclass(frozen=True)
class Contract:
    """What the graphs of an artifact take and give: a file `<name>.onnx` for each of `graphs`.

    Attributes:
        steps: T, most frames of one UE that are fused into an answer; 0 where the contract knows nothing of frames.
    """

    name: str
    graphs: Graphs
    steps: int = 0

    def to_json(self) -> dict[str, dict[str, list[dict[str, object]]]]:
        """Inputs and outputs of each graph, JSON-ready."""
        return {
            name: {"inputs": [spec.to_json() for spec in inputs], "outputs": [spec.to_json() for spec in outputs]}
            for name, (inputs, outputs) in self.graphs.items()
        }

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> Contract:
        """A contract that is all in the manifest of its artifact: the inverse of `to_json`. Raises `ValueError`."""
        if not data:
            raise ValueError("graphs: expected the inputs and outputs of one or more graphs, got none")
        graphs: Graphs = {}
        for graph, ends in data.items():
            try:
                inputs, outputs = (tuple(map(TensorSpec.from_json, ends[end])) for end in ("inputs", "outputs"))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"graphs.{graph}: expected inputs and outputs: {error}") from error
            if not inputs or not outputs:
                raise ValueError(f"graphs.{graph}: expected one or more inputs and outputs, got none")
            graphs[graph] = (inputs, outputs)
        return cls(name, graphs)


MULTIMODAL = Contract("multimodal", GRAPHS, TRAJECTORY_LEN)
RADIO = Contract("radio", RADIO_GRAPHS, RADIO_STEPS)
CONTRACTS: dict[str, Contract] = {contract.name: contract for contract in (MULTIMODAL, RADIO)}
"""Those that `/v1/sense` is answered by."""
GENERIC = "generic"
"""Name of the contract of any other artifact: what its graphs take and give is in its manifest alone."""
