"""Run a trained model over a data set the way it is served: frame by frame, with the trajectory so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.batches import radar_batch, radio_inputs, scene_windows
from models.data.measured.radhar import FRAME_RATE_HZ, HOP_FRAMES, Recording
from models.data.raytraced_set import RayTracedSet
from models.exported import ExportedModel
from models.systems.gated_fusion import GatedFusion
from service.contract.tensors import TEXT_LEN, TRAJECTORY_LEN


@dataclass(frozen=True)
class ScenePredictions:
    """N frames of ray-traced UEs, in the order episode, snapshot, UE; raw (uncalibrated) outputs.

    Attributes:
        position_m, truth_m: float32 `[N, 2]` in the mast frame.
        scale_tril: float32 `[N, 3]`; los_logit: float32 `[N]`; los: bool `[N]`; gate: float32 `[N, 4]`.
        history: int64 `[N]` frames that the answer rests on; episode: int64 `[N]`; blocker, paths: as in the set.
        embedding: float32 `[N, 128]`.
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
    paths: NDArray[np.int16]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class ActivityPredictions:
    """N RadHAR windows: logits float32 `[N, 5]`, activity int64 `[N]`, recording int64 `[N]`, embedding `[N, 128]`."""

    logits: NDArray[np.float32]
    activity: NDArray[np.int64]
    recording: NDArray[np.int64]
    embedding: NDArray[np.float32]


@torch.no_grad()
def predict_scene(
    model: GatedFusion | ExportedModel, data: RayTracedSet, modalities: tuple[str, ...], longest: int = TRAJECTORY_LEN
) -> ScenePredictions:
    """Stream every trajectory of a part: each frame is answered from itself and at most `longest - 1` before it."""
    model.eval()
    rows: list[dict[str, NDArray[np.generic]]] = []
    snapshots, ues = data.position_m.shape[1:3]
    bandwidth_hz = data.site.bandwidth_hz
    assert bandwidth_hz
    for episode in range(len(data.episode)):
        radio = radio_inputs(data.csi[episode : episode + 1], bandwidth_hz) if "csi" in modalities else None
        batch = scene_windows(data, np.array([episode]), np.zeros(1, np.int64), snapshots, radio, modalities)
        embedding, gate = model.encoder(**batch.inputs)
        # The buffer keeps half precision; so does the evaluation.
        embedding = batch.by_row(embedding.half().float())
        for step in range(snapshots):
            first = max(0, step + 1 - longest)
            window = embedding[:, first : step + 1]
            age = batch.age[:, first : step + 1] - batch.age[:, step : step + 1]
            text = torch.zeros(ues, TEXT_LEN, dtype=torch.int64)
            out = model.fuser(window, age, torch.ones_like(age), text)
            rows.append(
                {
                    "position_m": out["position"][:, -1].numpy(),
                    "scale_tril": out["scale_tril"][:, -1].numpy(),
                    "los_logit": out["los_logit"][:, -1].numpy(),
                    "gate": batch.by_row(gate)[:, step].numpy(),
                    "embedding": embedding[:, step].numpy(),
                    "truth_m": data.position_m[episode, step],
                    "los": data.los[episode, step],
                    "blocker": data.blocker[episode, step],
                    "paths": data.paths[episode, step],
                    "history": np.full(ues, step + 1 - first),
                    "episode": np.full(ues, data.episode[episode]),
                }
            )
    return ScenePredictions(**{key: np.concatenate([row[key] for row in rows]) for key in rows[0]})  # type: ignore[arg-type]


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
    return ActivityPredictions(**{key: np.concatenate([row[key] for row in rows]) for key in rows[0]})  # type: ignore[arg-type]
