"""The classical way to use a trajectory: a Kalman filter and Rauch-Tung-Striebel smoother over single-point estimates.

State: position and velocity in the plane under white acceleration (Bar-Shalom et al. 2001, section 6.3.2). The single
estimates come with covariances; those are scaled, and an estimate that lies too far from the prediction is weighed
down, both as tuned on validation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.radio_batches import Radio
from models.data.trajectories import temporal
from models.radio.predict import RadioPredictions
from service.contract.tensors import TRAJECTORY_LEN

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tuning:
    """What is tuned.

    Attributes:
        acceleration_mps2: standard deviation of the acceleration.
        inflation: of the estimates' covariances: the errors of neighbouring estimates are alike, not independent.
        gate: squared Mahalanobis length of an innovation beyond which its covariance grows in proportion (a robust
            filter in the sense of Huber); infinite for a plain one.
    """

    acceleration_mps2: float
    inflation: float
    gate: float


GRID = tuple(
    Tuning(acceleration, inflation, gate)
    for acceleration in (1.0, 3.0, 10.0)
    for inflation in (1.0, 4.0, 16.0)
    for gate in (4.0, 9.0, np.inf)
)
_START_SPEED_MPS = 8.0  # standard deviation of the unknown first velocity


def smooth(
    place_m: NDArray[np.floating], scale_tril_m: NDArray[np.floating], age_s: NDArray[np.floating],
    mask: NDArray[np.bool_], tuning: Tuning,
) -> tuple[Array, Array]:  # fmt: skip
    """Positions `[R, T, 2]` and covariances `[R, T, 2, 2]` of trajectories, each vertex by all of its trajectory.

    The newest vertex is thereby what the filter gives. Where `mask` is False the answer means nothing.

    Args:
        place_m: `[R, T, 2]` single estimates; scale_tril_m: `[R, T, 3]` their Cholesky factors (l11, l21, l22).
        age_s: `[R, T]` before the newest; mask: `[R, T]`, padding in front.
    """
    rows, steps = mask.shape
    l11, l21, l22 = (np.asarray(part, np.float64) for part in np.moveaxis(scale_tril_m, -1, 0))
    measured = np.stack([np.stack([l11**2, l11 * l21], -1), np.stack([l11 * l21, l21**2 + l22**2], -1)], -2)
    measured = measured * tuning.inflation
    see = np.eye(2, 4)
    state, cov = (
        np.zeros((rows, 4)),
        np.tile(np.diag([1e6, 1e6, _START_SPEED_MPS**2, _START_SPEED_MPS**2]), (rows, 1, 1)),
    )
    kept = []  # (state, covariance) after each step, and the transition and prediction that led to it
    for step in range(steps):
        gap_s = age_s[:, max(step - 1, 0)] - age_s[:, step]
        gap_s = np.where(mask[:, max(step - 1, 0)] & mask[:, step], gap_s, 0.0)
        move, noise = _motion(gap_s, tuning.acceleration_mps2)
        ahead, ahead_cov = _apply(move, state), move @ cov @ np.swapaxes(move, 1, 2) + noise
        miss = place_m[:, step] - ahead[:, :2]
        spread = ahead_cov[:, :2, :2] + measured[:, step]
        length = np.einsum("ri,rij,rj->r", miss, np.linalg.inv(spread), miss)
        spread = spread * np.maximum(1.0, length / tuning.gate)[:, None, None]
        gain = ahead_cov[:, :, :2] @ np.linalg.inv(spread) * mask[:, step, None, None]
        state = ahead + _apply(gain, miss)
        cov = ahead_cov - gain @ see @ ahead_cov
        kept.append((state, cov, move, ahead, ahead_cov))
    places, covs = np.empty((rows, steps, 2)), np.empty((rows, steps, 2, 2))
    for step in range(steps - 1, -1, -1):
        if step < steps - 1:
            _, _, move, ahead, ahead_cov = kept[step + 1]
            before, before_cov = kept[step][:2]
            back = before_cov @ np.swapaxes(move, 1, 2) @ np.linalg.pinv(ahead_cov)
            state = before + _apply(back, state - ahead)
            cov = before_cov + back @ (cov - ahead_cov) @ np.swapaxes(back, 1, 2)
        places[:, step], covs[:, step] = state[:, :2], cov[:, :2, :2]
    return places, covs


def _motion(gap_s: Array, acceleration_mps2: float) -> tuple[Array, Array]:
    """Transition and process noise `[R, 4, 4]` over gaps `[R]`."""
    move = np.tile(np.eye(4), (len(gap_s), 1, 1))
    move[:, 0, 2] = move[:, 1, 3] = gap_s
    noise = np.zeros_like(move)
    for axis in (0, 1):
        noise[:, axis, axis] = gap_s**4 / 4
        noise[:, axis, axis + 2] = noise[:, axis + 2, axis] = gap_s**3 / 2
        noise[:, axis + 2, axis + 2] = gap_s**2
    return move, noise * acceleration_mps2**2


def _apply(matrix: Array, vector: Array) -> Array:
    out: Array = np.einsum("rij,rj->ri", matrix, vector)
    return out


def over(single: RadioPredictions, radio: Radio, tuning: Tuning, length: int = TRAJECTORY_LEN) -> RadioPredictions:
    """The newest vertex of each frame's trajectory, from the single estimates of its vertices."""
    every = temporal(radio.frames, length)
    places, scales = np.empty_like(single.position_m), np.empty_like(single.scale_tril)
    for band in range(places.shape[1]):
        place, cov = smooth(
            single.position_m[every.index, band], single.scale_tril[every.index, band], every.age_s, every.mask, tuning
        )
        factor = np.linalg.cholesky(cov[:, -1])
        places[:, band] = place[:, -1]
        scales[:, band] = np.stack([factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1]], -1)
    return RadioPredictions(places, scales, single.los_logit)


def tune(single: RadioPredictions, radio: Radio, frames: int = 3000) -> Tuning:
    """The tuning of `GRID` with the least mean error over some tracks of a validation part."""
    tracks = np.random.default_rng(0).permutation(np.unique(radio.frames.track))
    rows = np.flatnonzero(np.isin(radio.frames.track, tracks[: max(1, frames // 16)]))
    some = RadioPredictions(single.position_m[rows], single.scale_tril[rows], single.los_logit[rows])
    part = radio.take(rows)
    truth = part.frames.position_m[:, None, :2]

    def error_m(tuning: Tuning) -> float:
        return float(np.hypot(*np.moveaxis(over(some, part, tuning).position_m - truth, -1, 0)).mean())

    return min(GRID, key=error_m)
