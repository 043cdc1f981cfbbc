"""kNN and weighted kNN fingerprinting over radio frames: a radio map for each site and band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from models.data.radio_batches import Radio
from models.radio.predict import RadioPredictions

LARGEST = 20  # neighbours
_COMPONENTS = 64
_FAR_M = 400.0  # stands for a distance that was not measured: far from all that were
_SPREAD_M = 0.5  # added to the spread of the neighbours, which may all be in one place


@dataclass(frozen=True)
class Setting:
    """What is tuned on validation."""

    features: str  # `cues` or `image`
    neighbours: int
    weighted: bool


SETTINGS = tuple(
    Setting(features, neighbours, weighted)
    for features in ("cues", "image") for neighbours in (1, 3, 5, 10, LARGEST) for weighted in (False, True)
)  # fmt: skip


Map = tuple[NDArray[np.integer], StandardScaler, PCA, NearestNeighbors]
"""Training rows of one site, and how a frame's features are scaled, projected and searched there at one band."""


class RadioMap:
    """The labelled training frames of every site and band, searchable by one kind of features."""

    def __init__(self, train: Radio, features: str) -> None:
        self._train, self._features = train, features
        known = train.frames.present & train.frames.labelled
        self._maps = {
            (site.name, band): self._fit(np.flatnonzero(known & (train.frames.site == number)), band)
            for number, site in enumerate(train.frames.sites)
            for band in range(len(train.frames.bands))
        }

    def _fit(self, rows: NDArray[np.integer], band: int) -> Map:
        found = read_features(self._train, rows, band, self._features)
        scaler = StandardScaler(with_std=self._features == "cues").fit(found)
        pca = PCA(min(_COMPONENTS, found.shape[1], len(rows)), random_state=0).fit(scaler.transform(found))
        search = NearestNeighbors(n_neighbors=min(LARGEST, len(rows))).fit(pca.transform(scaler.transform(found)))
        return rows, scaler, pca, search

    def largest(self) -> Map:
        """The map with the most frames."""
        return max(self._maps.values(), key=lambda found: len(found[0]))

    def size(self) -> int:
        """How many numbers all maps hold: features of every frame and its place."""
        return sum(len(rows) * (pca.n_components_ + 2) for rows, _, pca, _ in self._maps.values())

    def neighbours(self, radio: Radio, site: int, band: int) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
        """Feature distances and training rows `[n, 20]` of the frames of one site, in their order."""
        rows, scaler, pca, search = self._maps[radio.frames.sites[site].name, band]
        mine = np.flatnonzero(radio.frames.site == site)
        asked = pca.transform(scaler.transform(read_features(radio, mine, band, self._features)))
        distance, index = search.kneighbors(asked)
        return distance, rows[index]


def read_features(radio: Radio, rows: NDArray[np.integer], band: int, kind: str) -> NDArray[np.float32]:
    """Features `[n, F]`: `cues` profile, distance and gain; `image` the angle-delay powers of the strongest beam."""
    frames = radio.frames
    if kind == "cues":
        distance = np.nan_to_num(frames.distance_m[rows, band], nan=_FAR_M)
        return np.concatenate(
            [frames.aoa[rows, band].astype(np.float32), distance[:, None], frames.gain_dbm[rows, band, None]], 1
        )
    found = np.empty((len(rows), 16 * 32), np.float32)
    for some in np.array_split(np.arange(len(rows)), -(-len(rows) // 1024)):
        planes = radio.planes.read(rows[some], np.full(len(some), band))[:, :4].max(1).astype(np.float32)
        found[some] = planes.reshape(-1, 16, 2, 32, 2).mean((2, 4)).reshape(len(some), -1)
    return found


def answer(maps: dict[str, RadioMap], settings: list[Setting], train: Radio, radio: Radio) -> RadioPredictions:
    """Positions by the setting of each band; the spread of the neighbours is the covariance, LoS is their vote."""
    frames, bands = len(radio.frames), len(radio.frames.bands)
    found = RadioPredictions(*(np.empty((frames, bands, *n), np.float32) for n in ((2,), (3,), ())))
    for site in range(len(radio.frames.sites)):
        mine = radio.frames.site == site
        for band, setting in enumerate(settings):
            near = maps[setting.features].neighbours(radio, site, band)
            for into, values in zip(
                (found.position_m, found.scale_tril, found.los_logit), _decide(train, setting, *near), strict=True
            ):
                into[mine, band] = values
    return found


def tune(maps: dict[str, RadioMap], train: Radio, val: Radio, settings: Sequence[Setting] = SETTINGS) -> list[Setting]:
    """The one of `settings` for each band that has the least mean error on validation."""
    chosen = []
    for band in range(len(val.frames.bands)):
        errors = dict.fromkeys(settings, 0.0)
        for site in range(len(val.frames.sites)):
            truth = val.frames.position_m[val.frames.site == site, :2]
            near = {kind: each.neighbours(val, site, band) for kind, each in maps.items()}
            for setting in settings:
                place, _, _ = _decide(train, setting, *near[setting.features])
                errors[setting] += float(np.hypot(*(place - truth).T).sum())
        chosen.append(min(errors, key=lambda setting: errors[setting]))
    return chosen


def _decide(
    train: Radio, setting: Setting, distance: NDArray[np.float64], index: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Position `[n, 2]`, Cholesky factor `[n, 3]` and logit `[n]` from the nearest training frames."""
    distance, index = distance[:, : setting.neighbours], index[:, : setting.neighbours]
    weight = 1 / (distance + 1e-6) if setting.weighted else np.ones_like(distance)
    weight = weight / weight.sum(1, keepdims=True)
    place = train.frames.position_m[index, :2].astype(np.float64)
    mean = (place * weight[..., None]).sum(1)
    away = place - mean[:, None]
    (a, b), (_, d) = np.einsum("nk,nki,nkj->ijn", weight, away, away)
    l11 = np.sqrt(a + _SPREAD_M**2)
    l21 = b / l11
    share = np.clip((train.frames.los[index] * weight).sum(1), 0.01, 0.99)
    return (
        mean,
        np.stack([l11, l21, np.sqrt(np.maximum(d + _SPREAD_M**2 - l21**2, 1e-6))], -1),
        np.log(share / (1 - share)),
    )
