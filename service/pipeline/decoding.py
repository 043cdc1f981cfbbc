"""Raw outputs of a model to calibrated answers, vectorised over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pymap3d
from numpy.typing import NDArray

from service.contract.labels import ACTIVITIES, MODALITIES, TASKS
from service.contract.manifest import Calibration
from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.pipeline.answers import Activity, Explanation, LineOfSight, Position, Region, Wgs84

CONFIDENCE = 90  # percent, of the region
REGION_KEY = "0.90"  # its quantile in the manifest's calibration

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Everything that a model says of one frame, whether it was asked or not."""

    position: Position
    los: LineOfSight
    activity: Activity


def estimates(outputs: Outputs, sites: Sequence[Site], calibration: Calibration) -> list[Estimate]:
    """Calibrate and turn to the frames of reference of the answer.

    Args:
        outputs: `FUSE_OUTPUTS` of B frames, finite.
        sites: the site of each frame.
        calibration: of the artifact that made the outputs.
    """
    return [
        Estimate(position, los, activity)
        for position, los, activity in zip(
            _positions(outputs["position"], outputs["scale_tril"], sites, calibration),
            _lines_of_sight(outputs["los_logit"], calibration),
            _activities(outputs["activity_logits"], calibration),
            strict=True,
        )
    ]


def finite_rows(*outputs: Outputs) -> NDArray[np.bool_]:
    """Which frames have nothing but finite numbers in every output: bool `[B]`."""
    tensors = [tensor for group in outputs for tensor in group.values()]
    finite: NDArray[np.bool_] = np.all([np.isfinite(t).reshape(len(t), -1).all(axis=1) for t in tensors], axis=0)
    return finite


def chosen_tasks(
    task_logits: NDArray[np.float32],  # [B, 3]
    asked: Sequence[tuple[str, ...] | None],
    texts: Sequence[str | None],
    sites: Sequence[Site],
) -> list[frozenset[str]]:
    """The tasks to answer for each frame: those asked for, else those its text asks for, else all of its site.

    Empty where a text asks for nothing that the site can answer.
    """
    wanted = [
        frozenset(task for task, logit in zip(TASKS, row, strict=True) if logit > 0) for row in task_logits.tolist()
    ]
    return [
        frozenset(tasks) if tasks else (by_text if text is not None else frozenset(TASKS)) & frozenset(site.tasks)
        for tasks, text, by_text, site in zip(asked, texts, wanted, sites, strict=True)
    ]


def explanations(
    gate: NDArray[np.float32],  # [B, 4]
    outputs: Outputs,
    lengths: Sequence[int],
    sites: Sequence[Site],
    calibration: Calibration,
) -> list[Explanation]:
    """Why each frame was answered as it was; `lengths` are the steps of its trajectory, the last ones of `T`."""
    threshold = [calibration.ood_threshold[site.name] for site in sites]
    return [
        Explanation(
            gate=dict(zip(MODALITIES, weights, strict=True)),
            trajectory_length=length,
            step_weight=tuple(steps[-length:]),
            ood_score=score,
            out_of_distribution=score > limit,
        )
        for weights, steps, length, score, limit in zip(
            gate.astype(np.float64).round(6).tolist(),
            outputs["step_weight"].astype(np.float64).round(6).tolist(),
            lengths,
            outputs["ood_score"].astype(np.float64).round(6).tolist(),
            threshold,
            strict=True,
        )
    ]


def _positions(
    mast_m: NDArray[np.float32], scale_tril: NDArray[np.float32], sites: Sequence[Site], calibration: Calibration
) -> list[Position]:
    enu, shape, wgs84 = _in_sites_frames(mast_m, _covariance(scale_tril), sites)
    covariance = shape * calibration.covariance_scale
    semi_axes, orientation = _ellipses(shape, calibration.region_quantile[REGION_KEY])
    return [
        Position(
            enu_m=(e, n),
            covariance_m2=((c[0][0], c[0][1]), (c[1][0], c[1][1])),
            region=Region(CONFIDENCE, major, minor, angle),
            wgs84=Wgs84(latitude, longitude),
        )
        for (e, n), c, (major, minor), angle, (latitude, longitude) in zip(
            enu.round(3).tolist(),
            covariance.tolist(),
            semi_axes.round(3).tolist(),
            orientation.tolist(),
            wgs84.round(8).tolist(),  # 1e-8 degrees are 1 mm
            strict=True,
        )
    ]


def _in_sites_frames(
    mast_m: NDArray[np.float32], mast_m2: Floats, sites: Sequence[Site]
) -> tuple[Floats, Floats, Floats]:
    """Mast-frame points and covariances as ENU `[B, 2]`, `[B, 2, 2]` and latitude, longitude `[B, 2]`."""
    enu, covariance, wgs84 = np.empty((len(sites), 2)), np.empty((len(sites), 2, 2)), np.empty((len(sites), 2))
    for site in dict.fromkeys(sites):
        rows = np.array([s is site or s == site for s in sites])
        enu[rows] = site.to_enu(mast_m[rows])
        covariance[rows] = site.covariance_to_enu(mast_m2[rows])
        east, north = enu[rows].T
        latitude, longitude, _ = pymap3d.enu2geodetic(east, north, np.zeros_like(east), *site.origin_wgs84)
        wgs84[rows] = np.stack([latitude, longitude], axis=1)
    return enu, covariance, wgs84


def _covariance(scale_tril: NDArray[np.float32]) -> Floats:
    """`L Lᵀ` `[B, 2, 2]` of (l11, l21, l22) `[B, 3]`."""
    factor = np.zeros((len(scale_tril), 2, 2))
    factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1] = scale_tril.astype(np.float64).T
    product: Floats = factor @ factor.transpose(0, 2, 1)
    return product


def _ellipses(shape: Floats, squared_radius: float) -> tuple[Floats, Floats]:
    """Semi-axes `[B, 2]` (major, minor) of `{x: xᵀ shape⁻¹ x <= squared_radius}` and the major one's bearing `[B]`."""
    values, vectors = np.linalg.eigh(shape)  # ascending
    semi_axes = np.sqrt(values[:, ::-1].clip(min=0.0) * squared_radius)
    east, north = vectors[:, 0, 1], vectors[:, 1, 1]
    bearing_deg = np.degrees(np.arctan2(east, north))
    return semi_axes, bearing_deg.round(2) % 180.0


def _lines_of_sight(logit: NDArray[np.float32], calibration: Calibration) -> list[LineOfSight]:
    probability = 0.5 * (1.0 + np.tanh(0.5 * logit.astype(np.float64) / calibration.los_temperature))  # never overflows
    return [LineOfSight(p >= 0.5, p) for p in probability.round(6).tolist()]


def _activities(logits: NDArray[np.float32], calibration: Calibration) -> list[Activity]:
    scaled = logits.astype(np.float64) / calibration.activity_temperature
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities = (odds / odds.sum(axis=1, keepdims=True)).round(6)
    return [
        Activity(ACTIVITIES[best], row[best], dict(zip(ACTIVITIES, row, strict=True)))
        for best, row in zip(probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True)
    ]
