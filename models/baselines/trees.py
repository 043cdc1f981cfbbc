"""Extremely randomised trees over simple statistics of a radar window: what RadHAR gives away without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from models.data.measured.radhar import FRAME_RATE_HZ, WINDOW_FRAMES, Recording

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEAVES = (1, 2, 5)  # smallest leaves that are tried

Table = tuple[NDArray[np.float32], NDArray[np.generic]]  # features [N, F], truth [N] or [N, D]
Forest = TypeVar("Forest", ExtraTreesClassifier, ExtraTreesRegressor)


def features(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Statistics `[74]` of detections `[N, 6]`: of each column over the window, and of its mean frame by frame."""
    frame = np.clip((window[:, 0] * FRAME_RATE_HZ).round().astype(int), 0, WINDOW_FRAMES - 1)
    count = np.bincount(frame, minlength=WINDOW_FRAMES)
    parts = [np.array([count.mean(), count.std(), float((count == 0).mean()), len(window)])]
    for values in window[:, 1:].T:
        by_frame = np.bincount(frame, values, WINDOW_FRAMES) / np.maximum(count, 1)
        steps = np.diff(by_frame)
        spread = [values.mean(), values.std(), by_frame.std(), np.abs(steps).mean(), steps.std()]
        parts.append(np.concatenate([spread, np.quantile(values, _QUANTILES), np.quantile(by_frame, _QUANTILES[::2])]))
        parts.append(np.array([values.max() - values.min()]))
    return np.concatenate(parts).astype(np.float32)


def evaluate(people: dict[str, list[Recording]], seed: int) -> NDArray[np.float64]:
    """Probabilities `[N, 5]` of the test windows, in order; the smallest leaf is chosen on validation."""
    tables = {part: table(recordings) for part, recordings in people.items()}
    forest = ExtraTreesClassifier(400, random_state=seed, n_jobs=-1)
    best = tuned(forest, tables["train"], lambda fitted: float(fitted.score(*tables["val"])))
    return np.asarray(best.predict_proba(tables["test"][0]))


def tuned(forest: Forest, train: Table, score: Callable[[Forest], float]) -> Forest:
    """The forest fitted to `train`, with that smallest leaf whose score, on validation, is the highest."""
    forests = [clone(forest).set_params(min_samples_leaf=leaf).fit(*train) for leaf in _LEAVES]
    return max(forests, key=score)


def table(recordings: list[Recording]) -> Table:
    """Features and activities of all windows, recording by recording."""
    rows = [features(r.window(k)) for r in recordings for k in range(r.windows)]
    return np.stack(rows), np.concatenate([np.full(r.windows, r.activity) for r in recordings])
