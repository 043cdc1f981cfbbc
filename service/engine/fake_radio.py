"""A deterministic engine of the radio contract, for tests without weights. Nothing that serves imports it.

Its answers are simple functions of the inputs, row by row, so that a test can tell which input an answer came from and
that batch-mates do not mix.
"""

from __future__ import annotations

import numpy as np

from service.contract.tensors import EMBEDDING_DIM, RADIO_ENCODE_INPUTS, RADIO_FUSE_INPUTS, RADIO_STEPS
from service.engine.fake import FakeEngine
from service.engine.protocol import Inputs, Outputs
from service.engine.tensor_checks import free_sizes

DISTANCE, GAIN, CSI, CARRIER, SITE = range(5)  # columns of the embedding; the rest is the aoa profile, then 0


class FakeRadioEngine(FakeEngine):
    """See `service.engine.protocol.Engine`.

    Encoding: the embedding holds the measured distance, the gain, the mean of csi, the carrier and the site of its
    frame, and the aoa profile; the router weight is shared evenly by the cues that are present.

    Fusing: the `path_position` of a step is its (100 x distance, gain) and its `path_los_logit` its gain; `position`
    and `centroid` are the mean over the steps that are present, `los_logit` is the newest gain, `ood_score` the newest
    mean square. Covariances are those of (1, 0, 1), the centroid's of (0.5, 0, 0.5).
    """

    def encode(self, inputs: Inputs) -> Outputs:
        """Embeddings and router weights of B frames. Raises `EngineFailure`."""
        self._before("encode")
        frames = free_sizes(RADIO_ENCODE_INPUTS, inputs)["B"]
        x = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
        embedding = np.zeros((frames, EMBEDDING_DIM), np.float32)
        embedding[:, DISTANCE] = x["measured_distance"][:, 0]
        embedding[:, GAIN] = x["gain"][:, 0]
        embedding[:, CSI] = x["csi"].mean(axis=(1, 2, 3))
        embedding[:, CARRIER] = x["carrier"][:, 0]
        embedding[:, SITE] = x["site"]
        embedding[:, 5:69] = x["aoa"]
        present = x["cue_mask"]  # [B, 4]
        return {"embedding": embedding, "router_weight": present / np.maximum(present.sum(axis=1, keepdims=True), 1)}

    def fuse(self, inputs: Inputs) -> Outputs:
        """Answers for B trajectories of `RADIO_STEPS` steps. Raises `EngineFailure`."""
        self._before("fuse")
        frames = free_sizes(RADIO_FUSE_INPUTS, inputs)["B"]
        mask = np.asarray(inputs["step_mask"], np.float32)
        embedding = np.asarray(inputs["embedding"], np.float32)
        weight = mask / mask.sum(axis=1, keepdims=True)  # [B, T]
        place = embedding[:, :, [DISTANCE, GAIN]] * np.array([100, 1], np.float32)  # [B, T, 2]
        mean = (weight[..., None] * place).sum(axis=1)
        newest = embedding[:, -1]
        factor = np.array([1, 0, 1], np.float32)
        return {
            "position": mean,
            "scale_tril": np.tile(factor, (frames, 1)),
            "los_logit": newest[:, GAIN],
            "ood_score": np.square(newest).mean(axis=1),
            "step_weight": weight,
            "path_position": place,
            "path_scale_tril": np.tile(factor, (frames, RADIO_STEPS, 1)),
            "path_los_logit": embedding[:, :, GAIN],
            "centroid": mean,
            "centroid_scale_tril": np.tile(factor / 2, (frames, 1)),
        }
