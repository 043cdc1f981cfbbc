"""Training batches: short trajectories of UEs, and of people in front of a radar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.measured import radhar
from models.data.raytraced.frontend import measure
from models.data.raytraced_set import RayTracedSet
from service.contract.labels import SCENE_MODALITIES
from service.contract.tensors import TRAJECTORY_LEN
from service.normalizers.channel import channel_tensors
from service.normalizers.radar import radar_planes

Inputs = dict[str, Tensor | None]


@dataclass(frozen=True)
class Batch:
    """Trajectories of `rows` UEs over `steps` snapshots.

    Attributes:
        inputs: arguments of `Encoder.forward`, with the frames in the order (window, step, UE), so that those of one
            capture lie together; a modality that the batch has not is None.
        windows: number of windows; each has `rows // windows` UEs.
        age: float32 `[rows, steps]` seconds before the newest step.
        step_mask: float32 `[rows, steps]`.
        known: float32 `[rows, steps]` 1 where there is a frame whose truth may be trained on.
        truth: per task a tensor `[rows, steps, ...]`: position m in the mast frame, los 0/1, activity class.
    """

    inputs: Inputs
    windows: int
    age: Tensor
    step_mask: Tensor
    known: Tensor
    truth: dict[str, Tensor]

    def by_row(self, frames: Tensor) -> Tensor:
        """Frames `[windows * steps * UEs, ...]` as rows of steps `[rows, steps, ...]`."""
        return frames.unflatten(0, (self.windows, self.age.shape[1], -1)).transpose(1, 2).flatten(0, 1)


Radio = dict[str, NDArray[np.floating]]  # csi, aoa, distance and gain, as the normalizers give them


def radio_inputs(csi: NDArray[np.complex64], bandwidth_hz: float) -> Radio:
    """CSI `[..., 32, 64]` through the normalizers, each `[..., its own shape]`."""
    lead = csi.shape[:-2]
    frames = csi.reshape(-1, *csi.shape[-2:])
    radio = channel_tensors(frames, bandwidth_hz)
    return {name: values.reshape(*lead, *values.shape[1:]) for name, values in radio.items()}


def draw_channels(data: RayTracedSet, draws: int, seed: int) -> Radio:
    """Every channel of a part measured `draws` times, each `[draws, E, K, U, ...]`, in half precision.

    Training picks one of the draws anew in every epoch: as good as new noise, and the normalizers run only once.
    """
    parts: dict[str, list[NDArray[np.float16]]] = {}
    for draw in range(draws):
        for episode in range(len(data.episode)):
            csi = measure(data.gain[episode], data.band, np.random.default_rng([seed, draw, episode])).csi()
            for name, values in radio_inputs(csi, data.band.bandwidth_hz).items():
                parts.setdefault(name, []).append(values.astype(np.float16))
    return {
        name: np.stack(values).reshape(draws, len(data.episode), *values[0].shape) for name, values in parts.items()
    }


def scene_windows(
    data: RayTracedSet,
    episodes: NDArray[np.int64],
    start: NDArray[np.int64],
    steps: int,
    radio: Radio | None,
    modalities: tuple[str, ...],
) -> Batch:
    """Windows of `steps` snapshots from `start[i]` of `episodes[i]` (rows of `data`), every UE of each a trajectory.

    Args:
        radio: normalised channels, each `[windows, steps, U, ...]`; None for a model without CSI.
        modalities: those that the model may use.
    """
    windows, ues = len(episodes), data.position_m.shape[2]
    rows = windows * ues
    index = start[:, None] + np.arange(steps)  # [windows, steps]
    pick = (episodes[:, None], index)

    def by_ue(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.swapaxes(values[pick], 1, 2))).flatten(
            0, 1
        )  # [rows, steps, ..]

    inputs: Inputs = dict.fromkeys(("camera", "radar", "lidar", "csi", "aoa", "distance", "gain"))
    for name in SCENE_MODALITIES:
        if name in modalities:
            inputs[name] = torch.from_numpy(getattr(data, name)[pick]).flatten(0, 1)  # [captures, ...]
    if radio is not None:
        inputs.update({k: torch.from_numpy(v.astype(np.float32)).flatten(0, 2) for k, v in radio.items()})
    scenes = torch.tensor([[float(name in modalities) for name in SCENE_MODALITIES]]).repeat(windows * steps, 1)
    inputs["scene_mask"] = scenes
    inputs["csi_mask"] = torch.full((rows * steps, 1), float(radio is not None))
    inputs["scene_index"] = None
    time_s = np.repeat(data.time_s[pick], ues, axis=0)
    age = torch.from_numpy((time_s[:, -1:] - time_s).astype(np.float32))
    known = (data.present & data.labelled)[episodes].reshape(-1, 1).repeat(steps, 1).astype(np.float32)
    truth = {"position": by_ue(data.position_m), "los": by_ue(data.los.astype(np.float32))}
    return Batch(inputs, windows, age, torch.ones(rows, steps), torch.from_numpy(known), truth)


def training_windows(
    data: RayTracedSet, draws: Radio | None, modalities: tuple[str, ...], windows: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """One epoch: a random window and draw of the channels of every episode, modalities and steps dropped.

    Args:
        draws: from `draw_channels`; None for a model without CSI.
    """
    snapshots = data.time_s.shape[1]
    steps = min(TRAJECTORY_LEN, snapshots)
    order = rng.permutation(len(data.episode))
    for first in range(0, len(order) - windows + 1, windows):
        chosen = order[first : first + windows]
        start = rng.integers(0, snapshots - steps + 1, windows)
        radio = None
        if draws is not None:
            draw = rng.integers(0, len(draws["gain"]), windows)
            pick = (draw[:, None], chosen[:, None], start[:, None] + np.arange(steps))
            radio = {name: values[pick] for name, values in draws.items()}
        batch = scene_windows(data, chosen, start, steps, radio, modalities)
        _drop_modalities(batch, modalities, rng)
        _drop_steps(batch.step_mask, rng)
        yield batch


def radar_sequences(
    recordings: list[radhar.Recording], files: int, steps: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """One epoch over RadHAR: runs of consecutive windows from random files, augmented, in batches of `files` runs."""
    long = [recording for recording in recordings if recording.windows >= steps]
    order = rng.permutation(len(long))
    for first in range(0, len(order) - files + 1, files):
        points, labels = [], []
        for recording in (long[i] for i in order[first : first + files]):
            start = int(rng.integers(0, recording.windows - steps + 1))
            change = _Augmentation.draw(rng)
            points += [change.apply(recording.window(start + k), rng) for k in range(steps)]
            labels.append(recording.activity)
        batch = radar_batch(points, steps, labels)
        _drop_steps(batch.step_mask, rng)
        yield batch


def radar_batch(points: list[NDArray[np.float32]], steps: int, labels: list[int]) -> Batch:
    """Runs of `steps` windows, oldest first, run after run, as a batch of radar-only frames."""
    rows = len(labels)
    inputs: Inputs = dict.fromkeys(("camera", "radar", "lidar", "csi", "aoa", "distance", "gain"))
    inputs["radar"] = torch.from_numpy(radar_planes(points, [radhar.SITE] * len(points)))
    inputs["scene_mask"] = torch.tensor([[0.0, 1.0, 0.0]]).repeat(rows * steps, 1)
    inputs["csi_mask"] = torch.zeros(rows * steps, 1)
    inputs["scene_index"] = None
    hop_s = radhar.HOP_FRAMES / radhar.FRAME_RATE_HZ
    age = (hop_s * torch.arange(steps - 1, -1, -1)).repeat(rows, 1)
    activity = torch.tensor(labels).unsqueeze(1).expand(rows, steps)
    return Batch(inputs, rows, age, torch.ones(rows, steps), torch.ones(rows, steps), {"activity": activity})


def _drop_modalities(batch: Batch, modalities: tuple[str, ...], rng: np.random.Generator) -> None:
    """Hide modalities at random so that any subset can be served; a frame keeps at least one."""
    if len(modalities) == 1:
        return
    scene_mask, csi_mask = batch.inputs["scene_mask"], batch.inputs["csi_mask"]
    assert scene_mask is not None
    assert csi_mask is not None
    scene_mask *= torch.from_numpy((rng.random(scene_mask.shape) > 0.2).astype(np.float32))
    scene_mask *= torch.from_numpy((rng.random((len(scene_mask), 1)) > 0.15).astype(np.float32))
    csi_mask *= torch.from_numpy((rng.random(csi_mask.shape) > 0.05).astype(np.float32))
    blind = scene_mask.sum(1) == 0
    if "csi" in modalities:
        csi_mask[blind.repeat_interleave(len(csi_mask) // len(scene_mask))] = 1.0
    else:
        there = torch.tensor([float(name in modalities) for name in SCENE_MODALITIES])
        scene_mask[blind] = there


def _drop_steps(step_mask: Tensor, rng: np.random.Generator) -> None:
    """Start trajectories late and leave gaps in them; the newest step always stays."""
    rows, steps = step_mask.shape
    begin = np.where(rng.random(rows) < 0.4, rng.integers(0, steps, rows), 0)
    kept = (np.arange(steps) >= begin[:, None]) & (rng.random((rows, steps)) > 0.08)
    kept[:, -1] = True
    step_mask *= torch.from_numpy(kept.astype(np.float32))


@dataclass(frozen=True)
class _Augmentation:
    mirror: float
    shift_m: NDArray[np.float32]
    speed: float
    keep: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Augmentation:
        shift = np.array([rng.normal(0, 0.3), rng.normal(0, 0.2), rng.normal(0, 0.08)], np.float32)
        return cls(float(rng.choice([-1.0, 1.0])), shift, rng.uniform(0.85, 1.15), rng.uniform(0.6, 1.0))

    def apply(self, points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        changed = points[rng.random(len(points)) < self.keep]
        changed[:, 2] *= self.mirror
        changed[:, 1:4] += self.shift_m
        changed[:, 4] *= self.speed
        return changed
