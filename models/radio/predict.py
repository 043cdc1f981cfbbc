"""Answers of a trajectory system over the radio frames of a part, band by band, as they would be served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.calibration import LEVELS, conformal_quantile
from models.data.radio_batches import Radio
from models.data.trajectories import temporal
from models.estimates import unpack_estimates
from models.metrics import Figures, position_figures, squared_mahalanobis

CHUNK = 1024  # frames at a time


class RadioModel(Protocol):
    """The two graphs, in torch or exported."""

    @property
    def device(self) -> torch.device:
        """Where they run."""

    def eval(self) -> object:
        """To evaluation mode."""

    def encoder(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As `models.systems.scadf_moe.Encoder.forward`."""

    def fuser(self, embedding: Tensor, age: Tensor, step_mask: Tensor) -> dict[str, Tensor]:
        """As `models.systems.scadf_moe.Fuser.forward`."""


@dataclass(frozen=True)
class RadioEmbeddings:
    """Embeddings float32 `[F, B, 128]` and router weights float32 `[F, B, 4]` of every frame at every band."""

    embedding: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class RadioPredictions:
    """Answers for F frames at B bands.

    Attributes:
        position_m: float32 `[F, B, 2]`; scale_tril: float32 `[F, B, 3]`; los_logit: float32 `[F, B]`.
    """

    position_m: NDArray[np.float32]
    scale_tril: NDArray[np.float32]
    los_logit: NDArray[np.float32]


@torch.no_grad()
def embed(model: RadioModel, radio: Radio, kept: NDArray[np.float32] | None = None) -> RadioEmbeddings:
    """Every frame encoded once a band; with only the cues that are 1 in `kept` `[F, 4]`, where that is given."""
    model.eval()
    frames, bands = len(radio.frames), len(radio.frames.bands)
    found = RadioEmbeddings(np.empty((frames, bands, 128), np.float32), np.empty((frames, bands, 4), np.float32))
    for rows in np.array_split(np.arange(frames), -(-frames // CHUNK)):
        for band in range(bands):
            inputs = radio.inputs(rows, np.full(len(rows), band))
            if kept is not None:
                inputs["cue_mask"] *= torch.from_numpy(kept[rows])
            embedding, weight = (
                out.cpu() for out in model.encoder(**{name: x.to(model.device) for name, x in inputs.items()})
            )
            # The buffer keeps half precision; so does the evaluation.
            found.embedding[rows, band], found.weight[rows, band] = embedding.half().float().numpy(), weight.numpy()
    return found


def single(embedded: RadioEmbeddings) -> RadioPredictions:
    """Every frame's own estimate, as its embedding carries it."""
    parts = unpack_estimates(torch.from_numpy(embedded.embedding))
    return RadioPredictions(*(part.numpy() for part in parts))


@torch.no_grad()
def fuse(model: RadioModel, radio: Radio, embedded: RadioEmbeddings, length: int) -> RadioPredictions:
    """The newest vertex of each frame's trajectory: itself and up to `length - 1` earlier frames of its UE."""
    model.eval()
    every = temporal(radio.frames, length)
    frames, bands = embedded.embedding.shape[:2]
    found = RadioPredictions(*(np.empty((frames, bands, *n), np.float32) for n in ((2,), (3,), ())))
    for rows in np.array_split(np.arange(frames), -(-frames // CHUNK)):
        age, mask = torch.from_numpy(every.age_s[rows]), torch.from_numpy(every.mask[rows].astype(np.float32))
        for band in range(bands):
            out = model.fuser(torch.from_numpy(embedded.embedding[every.index[rows], band]), age, mask)
            for name, into in (
                ("position", found.position_m), ("scale_tril", found.scale_tril), ("los_logit", found.los_logit)
            ):  # fmt: skip
                into[rows, band] = out[name][:, -1].numpy()
    return found


Quantiles = list[dict[str, float]]  # of each band, by level


def region_quantiles(predictions: RadioPredictions, radio: Radio) -> Quantiles:
    """Split-conformal quantiles of the squared Mahalanobis length, fitted on a validation part, for each band."""
    counted = radio.frames.present & ~radio.frames.duplicate
    truth = radio.frames.position_m[counted, :2]
    found = []
    for band in range(len(radio.frames.bands)):
        away = truth - predictions.position_m[counted, band]
        length = squared_mahalanobis(away, predictions.scale_tril[counted, band])
        found.append({f"{level:.2f}": conformal_quantile(length, level) for level in LEVELS})
    return found


def figures(predictions: RadioPredictions, radio: Radio, quantiles: Quantiles) -> dict[str, Figures]:
    """Figures by `layout/band`, `all/band` and `all/all`; near duplicates of training frames do not count."""
    frames = radio.frames
    layout = np.array([site.name.rpartition("-")[0] or site.name for site in frames.sites])[frames.site]
    counted = frames.present & ~frames.duplicate
    found = {}
    rows_of = {name: counted & (layout == name) for name in dict.fromkeys(layout)} | {"all": counted}
    for name, rows in rows_of.items():
        for number, band in enumerate(frames.bands):
            found[f"{name}/{band.name}"] = _figures(predictions, radio, quantiles, rows, [number])
    found["all/all"] = _figures(predictions, radio, quantiles, counted, list(range(len(frames.bands))))
    return found


def _figures(
    predictions: RadioPredictions, radio: Radio, quantiles: Quantiles, rows: NDArray[np.bool_], bands: list[int]
) -> Figures:
    truth, los = radio.frames.position_m[rows, :2], radio.frames.los[rows]
    place = np.concatenate([predictions.position_m[rows, band] for band in bands])
    every, seen = np.tile(truth, (len(bands), 1)), np.tile(los, len(bands))
    inside = [
        squared_mahalanobis(truth - predictions.position_m[rows, band], predictions.scale_tril[rows, band])
        <= quantiles[band]["0.90"]
        for band in bands
    ]
    said = np.concatenate([predictions.los_logit[rows, band] > 0 for band in bands])
    found = position_figures(place, every)
    found["region_90_coverage"] = float(np.mean(inside))
    error = np.hypot(*(place - every).T)
    for name, chosen in (("los", seen), ("nlos", ~seen)):
        if chosen.any():
            found[f"{name}_position_mean_m"] = float(error[chosen].mean())
            found[f"{name}_position_median_m"] = float(np.median(error[chosen]))
            found[f"{name}_position_mse_m2"] = float((error[chosen] ** 2).mean())
            found[f"{name}_recall"] = float((said == seen)[chosen].mean())
    found["frames"] = float(len(error))
    return found
