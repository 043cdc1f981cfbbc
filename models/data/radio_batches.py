"""Training batches of radio frames as short trajectories: windows of a UE's track, and clusters in space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.frames import Frames
from models.data.planes import LEVELS, Planes
from models.data.trajectories import Grouping, spatial
from service.contract.sites import Site
from service.normalizers.cues import DISTANCE_UNIT_M


@dataclass(frozen=True)
class Radio:
    """Frames of a part with their angle-delay planes, and the sites that a model numbers.

    Attributes:
        site_names: names in the order of the model's site embedding; frames of any other get the number after them.
    """

    frames: Frames
    planes: Planes
    site_names: tuple[str, ...]

    def inputs(self, rows: NDArray[np.integer], bands: NDArray[np.integer]) -> dict[str, Tensor]:
        """Arguments of the encoder for frames `rows` `[N]`, each at one of the frames' bands `[N]`."""
        frames = self.frames
        distance = torch.from_numpy(frames.distance_m[rows, bands]).unsqueeze(1)
        mask = torch.ones(len(rows), 4)
        mask[:, 2:3] = torch.isfinite(distance)
        return {
            "csi": torch.from_numpy(self.planes.read(rows, bands)).float().div_(LEVELS),
            "aoa": torch.from_numpy(frames.aoa[rows, bands].astype(np.float32)),
            "distance": torch.nan_to_num(distance) / DISTANCE_UNIT_M,
            "gain": (torch.from_numpy(frames.gain_dbm[rows, bands]).unsqueeze(1) + 90) / 30,
            "cue_mask": mask,
            "carrier": self._decades[bands].unsqueeze(1),
            "site": self._numbers[frames.site[rows].astype(np.int64)],
        }

    def take(self, rows: NDArray[np.integer]) -> Radio:
        """Some of the frames."""
        frames = self.frames.take(rows)
        return Radio(frames, self.planes.of(frames), self.site_names)

    def at_bands(self, numbers: Sequence[int]) -> Radio:
        """The same frames at some of their bands."""
        return Radio(self.frames.at_bands(numbers), self.planes.at_bands(numbers), self.site_names)

    @property
    def _decades(self) -> Tensor:
        return torch.tensor([np.log10(band.carrier_hz / 1e9) for band in self.frames.bands], dtype=torch.float32)

    @property
    def _numbers(self) -> Tensor:
        return torch.tensor([site_number(site, self.site_names) for site in self.frames.sites])


def site_number(site: Site, names: tuple[str, ...]) -> int:
    """Row of the site embedding."""
    return names.index(site.name) if site.name in names else len(names)


@dataclass(frozen=True)
class Trajectories:
    """A batch: R trajectories of at most T vertices whose cues are encoded once each.

    Attributes:
        inputs: arguments of the encoder for the N vertices that are there; none where they have been encoded.
        embedding: float32 `[N, 128]` of these, where they have been.
        place: int64 `[R, T]` row of `inputs` or `embedding` at each vertex; padding repeats the last vertex.
        age, step_mask: float32 `[R, T]`.
        position: float32 `[R, T, 2]` truth in the mast frame, m; los: float32 `[R, T]`.
    """

    inputs: dict[str, Tensor]
    embedding: Tensor | None
    place: Tensor
    age: Tensor
    step_mask: Tensor
    position: Tensor
    los: Tensor

    def to(self, device: torch.device) -> Trajectories:
        """The same on a device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        rest = (self.place, self.age, self.step_mask, self.position, self.los)
        embedding = None if self.embedding is None else self.embedding.to(device)
        return Trajectories(inputs, embedding, *(tensor.to(device) for tensor in rest))


def gather(
    radio: Radio, grouping: Grouping, bands: NDArray[np.integer], embedding: NDArray[np.float16] | None = None
) -> Trajectories:
    """The batch of the trajectories of `grouping`, each at one band `[R]`.

    With the `embedding` of all frames `[F, B, 128]` the batch has those of its vertices in place of their cues.
    """
    index, mask = grouping.index, grouping.mask
    place = np.zeros(index.shape, np.int64)
    place[mask] = np.arange(mask.sum())
    place = np.where(mask, place, place[:, -1:])
    every = np.broadcast_to(bands[:, None], index.shape)
    rows = index[mask], every[mask]
    return Trajectories(
        radio.inputs(*rows) if embedding is None else {},
        None if embedding is None else torch.from_numpy(embedding[rows].astype(np.float32)),
        torch.from_numpy(place),
        torch.from_numpy(grouping.age_s),
        torch.from_numpy(mask.astype(np.float32)),
        torch.from_numpy(radio.frames.position_m[index][..., :2]),
        torch.from_numpy(radio.frames.los[index].astype(np.float32)),
    )


def windows(frames: Frames, length: int, rng: np.random.Generator) -> Grouping:
    """Every track cut into windows, from a random offset on: each frame is in one.

    The windows of a track are of one length: `length`, half or a quarter of it, so that short histories are known, too.
    """
    order = np.lexsort((frames.time_s, frames.track))
    order = order[(frames.present & frames.labelled)[order]]
    track = frames.track[order]
    start = np.flatnonzero(np.r_[True, track[1:] != track[:-1]])
    within = np.arange(len(order)) - np.repeat(start, np.diff(np.r_[start, len(order)]))
    cut = np.maximum(1, length // np.array([1, 2, 4]))[rng.integers(0, 3, len(start))]
    offset = rng.integers(0, cut)
    frames_of = np.diff(np.r_[start, len(order)])
    number = (within + np.repeat(offset, frames_of)) // np.repeat(cut, frames_of)
    first = np.flatnonzero(np.r_[True, (track[1:] != track[:-1]) | (number[1:] != number[:-1])])
    last = np.r_[first[1:], len(order)] - 1
    place = last[:, None] + np.arange(1 - length, 1)
    mask = place >= first[:, None]
    index = np.where(mask, order[np.maximum(place, 0)], order[last][:, None])
    age = np.where(mask, frames.time_s[index[:, -1:]] - frames.time_s[index], 0)
    return Grouping(index, mask, age.astype(np.float32))


def frame_batches(radio: Radio, size: int, rng: np.random.Generator) -> Iterator[Trajectories]:
    """An epoch of frames that stand alone: every labelled one at one random band, about `size` in a batch."""
    every = _alone(rng.permutation(np.flatnonzero(radio.frames.present & radio.frames.labelled)))
    yield from _in_batches(radio, every, size, rng, None)


def trajectory_batches(
    radio: Radio,
    length: int,
    clusters: float,
    vertices: int,
    rng: np.random.Generator,
    embedding: NDArray[np.float16] | None = None,
) -> Iterator[Trajectories]:
    """An epoch of trajectories: every labelled frame in one window, at one random band, and some in a cluster as well.

    Args:
        length: T, most vertices of a trajectory.
        clusters: share of the clusters in space (see `models.data.trajectories.spatial`) that are added.
        vertices: about how many in a batch.
        embedding: float16 `[F, B, 128]` of the frames, where they need not be encoded again.
    """
    parts = [windows(radio.frames, length, rng)]
    if clusters:
        near = np.flatnonzero(radio.frames.present & radio.frames.labelled)
        found = spatial(radio.frames.take(near), length, rng)
        some = rng.permutation(len(found.index))[: round(clusters * len(found.index))]
        parts.append(Grouping(near[found.index[some]], found.mask[some], found.age_s[some]))
    every = Grouping(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("index", "mask", "age_s")))
    yield from _in_batches(radio, every, vertices, rng, embedding)


def _in_batches(
    radio: Radio, every: Grouping, vertices: int, rng: np.random.Generator, embedding: NDArray[np.float16] | None
) -> Iterator[Trajectories]:
    bands = rng.integers(0, len(radio.frames.bands), len(every.index))
    order = rng.permutation(len(every.index))
    for some in np.array_split(order, max(1, round(every.mask.sum() / vertices))):
        grouping = Grouping(every.index[some], every.mask[some], every.age_s[some])
        yield gather(radio, grouping, bands[some], embedding)


def _alone(rows: NDArray[np.integer]) -> Grouping:
    """Each frame as a trajectory of one."""
    shape = len(rows), 1
    return Grouping(rows.reshape(shape), np.ones(shape, bool), np.zeros(shape, np.float32))
