"""A deterministic engine for tests without weights. Nothing that serves imports it.

Its answers are simple functions of the inputs, row by row, so that a test can tell which input an answer came from and
that batch-mates do not mix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.contract.manifest import Manifest
from service.contract.tensors import EMBEDDING_DIM, ENCODE_INPUTS, FUSE_INPUTS, TRAJECTORY_LEN
from service.engine.protocol import Inputs, Outputs, Plan
from service.engine.tensor_checks import check_scene_index, free_sizes

DISTANCE, GAIN, CSI, CAMERA, RADAR, LIDAR = range(6)  # columns of the embedding; the rest is the aoa profile, then 0


class FakeEngine:
    """See `service.engine.protocol.Engine`.

    Encoding: the embedding holds the distance, the gain and the means of csi, camera, radar and lidar of its frame, and
    the aoa profile; the gate is shared evenly by the modalities that are present.

    Fusing: `position` is (100 x distance, gain) averaged over the steps that are present, `scale_tril` is (1, 0, 1),
    `los_logit` the newest gain, `activity_logits` five bins of the aoa profile, `ood_score` the newest mean square.
    A token asks for the task `id % 3`; without text all tasks are asked for.
    """

    providers: tuple[str, ...] = ("Fake",)

    def __init__(self, manifest: Manifest, before: Callable[[str], None] = lambda graph: None) -> None:
        """Answer for the manifest's sites.

        Args:
            manifest: what a real artifact would come with.
            before: called with `"encode"` or `"fuse"` before each call; may block or raise to cause a fault.
        """
        self.manifest = manifest
        self.name = manifest.name
        self._before = before

    def plan(self, graph: str) -> Plan:
        """One run at a time."""
        return Plan()

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        """Inputs of a graph to its outputs. Raises `EngineFailure`."""
        return {"encode": self.encode, "fuse": self.fuse}[graph](inputs)

    def encode(self, inputs: Inputs) -> Outputs:
        """Embeddings and gates of B frames, which refer to S captures. Raises `EngineFailure`."""
        self._before("encode")
        frames = free_sizes(ENCODE_INPUTS, inputs)["B"]
        check_scene_index(inputs)
        x = {name: np.asarray(array, np.float32) for name, array in inputs.items() if name != "scene_index"}
        scene = np.asarray(inputs["scene_index"], np.int64)
        embedding = np.zeros((frames, EMBEDDING_DIM), np.float32)
        embedding[:, DISTANCE] = x["distance"][:, 0]
        embedding[:, GAIN] = x["gain"][:, 0]
        embedding[:, CSI] = x["csi"].mean(axis=(1, 2, 3))
        for column, name in ((CAMERA, "camera"), (RADAR, "radar"), (LIDAR, "lidar")):
            embedding[:, column] = np.append(x[name].mean(axis=(1, 2, 3)), 0)[scene]
        embedding[:, 6:70] = x["aoa"]
        captured = np.append(x["scene_mask"], np.zeros((1, 3), np.float32), axis=0)[scene]
        present = np.concatenate([x["csi_mask"], captured], axis=1)  # [B, 4]
        return {"embedding": embedding, "gate": present / np.maximum(present.sum(axis=1, keepdims=True), 1)}

    def fuse(self, inputs: Inputs) -> Outputs:
        """Answers for B trajectories of `TRAJECTORY_LEN` steps. Raises `EngineFailure`."""
        self._before("fuse")
        frames = free_sizes(FUSE_INPUTS, inputs, TRAJECTORY_LEN)["B"]
        mask = np.asarray(inputs["step_mask"], np.float32)
        embedding = np.asarray(inputs["embedding"], np.float32)
        text = np.asarray(inputs["text"], np.int64)
        weight = mask / mask.sum(axis=1, keepdims=True)  # [B, T]
        pooled = (weight[..., None] * embedding).sum(axis=1)  # [B, D]
        newest = embedding[:, -1]
        asked = ((text[:, :, None] % 3 == np.arange(3)) & (text[:, :, None] > 0)).any(axis=1)  # [B, task]
        return {
            "position": pooled[:, [DISTANCE, GAIN]] * np.array([100, 1], np.float32),
            "scale_tril": np.tile(np.array([1, 0, 1], np.float32), (frames, 1)),
            "los_logit": newest[:, GAIN],
            "activity_logits": newest[:, 6:11],
            "task_logits": np.where(asked | ~text.any(axis=1, keepdims=True), 1, -1).astype(np.float32),
            "ood_score": np.square(newest).mean(axis=1),
            "step_weight": weight.reshape(frames, TRAJECTORY_LEN),
        }

    def warm_up(self) -> None:
        """Nothing to do."""
