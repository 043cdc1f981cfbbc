"""Run a trained model over a data set the way it is served: frame by frame, with the trajectory so far."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.batches import radar_batch, radio_inputs, scene_windows
from models.data.measured.radhar import FRAME_RATE_HZ, HOP_FRAMES, Recording
from models.data.raytraced_set import RayTracedSet
from models.exported import ExportedModel
from models.systems.gated_fusion import GatedFusion
from service.contract.tensors import TEXT_LEN, TRAJECTORY_LEN


@dataclass(frozen=True)
class ScenePredictions:
    """N frames of ray-traced UEs that are there, in the order episode, snapshot, UE; raw (uncalibrated) outputs.

    Attributes:
        position_m, truth_m: float32 `[N, 2]` in the mast frame.
        scale_tril: float32 `[N, 3]`; los_logit: float32 `[N]`; los: bool `[N]`; gate: float32 `[N, 4]`.
        history: int64 `[N]` frames that the answer rests on; episode: int64 `[N]`; blocker, duplicate: as in the set.
    """

    position_m: NDArray[np.float32]
    truth_m: NDArray[np.float32]
    scale_tril: NDArray[np.float32]
    los_logit: NDArray[np.float32]
    los: NDArray[np.bool_]
    gate: NDArray[np.float32]
    history: NDArray[np.int64]
    episode: NDArray[np.int64]
    blocker: NDArray[np.uint8]
    duplicate: NDArray[np.bool_]

    def counted(self) -> ScenePredictions:
        """Those that a figure may count: no near duplicates of training frames."""
        return ScenePredictions(**{f.name: getattr(self, f.name)[~self.duplicate] for f in fields(self)})


@dataclass(frozen=True)
class ActivityPredictions:
    """N RadHAR windows: logits float32 `[N, 5]`, activity int64 `[N]`, recording int64 `[N]`, embedding `[N, 128]`."""

    logits: NDArray[np.float32]
    activity: NDArray[np.int64]
    recording: NDArray[np.int64]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class SceneEmbeddings:
    """What the encode graph makes of a part: embedding float32 `[E, K, U, 128]` and gate `[E, K, U, 4]`."""

    embedding: Tensor
    gate: Tensor


@torch.no_grad()
def embed_scene(model: GatedFusion | ExportedModel, data: RayTracedSet, modalities: tuple[str, ...]) -> SceneEmbeddings:
    """Encode every frame of a part, with the modalities given."""
    model.eval()
    snapshots, ues = data.position_m.shape[1:3]
    embeddings, gates = [], []
    for episode in range(len(data.episode)):
        radio = radio_inputs(data.csi[episode : episode + 1], data.band.bandwidth_hz) if "csi" in modalities else None
        batch = scene_windows(data, np.array([episode]), np.zeros(1, np.int64), snapshots, radio, modalities)
        embedding, gate = model.encoder(**batch.inputs)[:2]
        # The buffer keeps half precision; so does the evaluation.
        embeddings.append(embedding.half().float().view(snapshots, ues, -1))
        gates.append(gate.view(snapshots, ues, -1))
    return SceneEmbeddings(torch.stack(embeddings), torch.stack(gates))


@torch.no_grad()
def fuse_scene(
    model: GatedFusion | ExportedModel, data: RayTracedSet, embedded: SceneEmbeddings, longest: int = TRAJECTORY_LEN
) -> ScenePredictions:
    """Stream every trajectory of a part: each frame is answered from itself and at most `longest - 1` before it."""
    model.eval()
    snapshots, ues = data.position_m.shape[1:3]
    answers: list[dict[str, Tensor]] = []
    for step in range(snapshots):
        first = max(0, step + 1 - longest)
        window = embedded.embedding[:, first : step + 1].transpose(1, 2).flatten(0, 1)  # [E U, steps, 128]
        time_s = torch.from_numpy(data.time_s[:, first : step + 1])
        age = (time_s[:, -1:] - time_s).float().repeat_interleave(ues, 0)
        text = torch.zeros(len(age), TEXT_LEN, dtype=torch.int64)
        out = model.fuser(window, age, torch.ones_like(age), text)
        answers.append({key: out[key][:, -1] for key in ("position", "scale_tril", "los_logit")})

    def in_order(key: str) -> NDArray[np.float32]:
        stacked = torch.stack([a[key].unflatten(0, (-1, ues)) for a in answers], 1)  # [E, K, U, ...]
        return data.frames(stacked.numpy())

    history = np.minimum(np.arange(snapshots) + 1, longest)
    shape = data.los.shape
    return ScenePredictions(
        position_m=in_order("position"),
        truth_m=data.frames(data.position_m),
        scale_tril=in_order("scale_tril"),
        los_logit=in_order("los_logit"),
        los=data.frames(data.los),
        gate=data.frames(embedded.gate.numpy()),
        history=data.frames(np.broadcast_to(history[None, :, None], shape)),
        episode=data.frames(np.broadcast_to(data.episode[:, None, None], shape)),
        blocker=data.frames(data.blocker),
        duplicate=data.frames(data.duplicate),
    )


def predict_scene(
    model: GatedFusion | ExportedModel, data: RayTracedSet, modalities: tuple[str, ...]
) -> ScenePredictions:
    """`embed_scene` and `fuse_scene` in one."""
    return fuse_scene(model, data, embed_scene(model, data, modalities))


@torch.no_grad()
def predict_windows(
    model: GatedFusion | ExportedModel, recordings: list[Recording], steps: int, most: int | None = None
) -> ActivityPredictions:
    """Published windows, or the first `most` of each recording, answered from at most the `steps` up to each."""
    model.eval()
    rows: list[dict[str, NDArray[np.generic]]] = []
    for number, recording in enumerate(recordings):
        count = min(recording.windows, most or recording.windows)
        if count == 0:
            continue
        windows = [recording.window(k) for k in range(count)]
        batch = radar_batch(windows, 1, [recording.activity] * count)
        embedding = model.encoder(**batch.inputs)[0].half().float()
        history = torch.stack([torch.roll(embedding, back, 0) for back in range(steps - 1, -1, -1)], 1)
        back = torch.arange(steps - 1, -1, -1)
        mask = (torch.arange(count).unsqueeze(1) >= back).float()
        age = (back * (HOP_FRAMES / FRAME_RATE_HZ)).float().repeat(count, 1)
        out = model.fuser(history, age, mask, torch.zeros(count, TEXT_LEN, dtype=torch.int64))
        rows.append(
            {
                "logits": out["activity_logits"][:, -1].numpy(),
                "activity": np.full(count, recording.activity),
                "recording": np.full(count, number),
                "embedding": embedding.numpy(),
            }
        )
    return ActivityPredictions(**{key: np.concatenate([row[key] for row in rows]) for key in rows[0]})
