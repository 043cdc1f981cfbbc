"""k-nearest-neighbour fingerprinting: the classical way to turn CSI into a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from models.data.batches import radio_inputs
from models.data.raytraced_set import RayTracedSet

_COMPONENTS = 128
_LARGEST = 20


@dataclass(frozen=True)
class Fingerprints:
    """Features `[N, F]` and positions `[N, 2]` of frames, in the order episode, snapshot, UE."""

    features: dict[str, NDArray[np.float32]]
    position_m: NDArray[np.float32]
    los: NDArray[np.bool_]


@dataclass(frozen=True)
class KnnResult:
    """The best setting on validation, and its answers on the other part."""

    setting: dict[str, object]
    validation_mean_m: float
    position_m: NDArray[np.float32]
    los: NDArray[np.bool_]


def fingerprints(data: RayTracedSet) -> Fingerprints:
    """Two kinds of features of the stored measurements: the angle-delay image; AoA profile, gain and distance."""
    images, cues = [], []
    for csi, present in zip(data.csi, data.present, strict=True):
        radio = radio_inputs(csi[:, present].reshape(-1, *csi.shape[-2:]), data.band.bandwidth_hz)
        power = radio["csi"][:, :4].max(1)  # the strongest elevation, [B, 32, 64]
        images.append(power.reshape(len(power), 16, 2, 32, 2).mean((2, 4)).reshape(len(power), -1))
        cues.append(np.concatenate([radio["aoa"], 4 * radio["distance"], 2 * radio["gain"]], 1))
    features = {"angle-delay image": np.concatenate(images), "cues": np.concatenate(cues)}
    return Fingerprints(features, data.frames(data.position_m), data.frames(data.los))


def evaluate(train: Fingerprints, val: Fingerprints, test: Fingerprints) -> KnnResult:
    """Tune features, k and weighting on validation (mean error), answer the test part once."""
    best: tuple[float, dict[str, object]] | None = None
    neighbours: dict[str, tuple[PCA | None, NearestNeighbors]] = {}
    for name, features in train.features.items():
        pca = PCA(min(_COMPONENTS, features.shape[1]), random_state=0).fit(features)
        search = NearestNeighbors(n_neighbors=_LARGEST).fit(pca.transform(features))
        neighbours[name] = (pca, search)
        distance, index = search.kneighbors(pca.transform(val.features[name]))
        for k in (1, 3, 5, 10, _LARGEST):
            for weighted in (False, True):
                estimate = _average(train.position_m, distance[:, :k], index[:, :k], weighted)
                mean = float(np.hypot(*(estimate - val.position_m).T).mean())
                if best is None or mean < best[0]:
                    best = mean, {"features": name, "k": k, "weighted": weighted}
    assert best is not None
    mean, setting = best
    pca, search = neighbours[str(setting["features"])]
    k = int(setting["k"])
    distance, index = search.kneighbors(pca.transform(test.features[str(setting["features"])]))
    position = _average(train.position_m, distance[:, :k], index[:, :k], bool(setting["weighted"]))
    return KnnResult(setting, mean, position, train.los[index[:, :k]].mean(1) > 0.5)


def _average(
    position_m: NDArray[np.float32], distance: NDArray[np.float64], index: NDArray[np.int64], weighted: bool
) -> NDArray[np.float32]:
    weight = 1 / (distance + 1e-6) if weighted else np.ones_like(distance)
    weight /= weight.sum(1, keepdims=True)
    return np.asarray((position_m[index] * weight[..., None]).sum(1), np.float32)
