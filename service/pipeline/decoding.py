"""Raw outputs of a model to calibrated answers, vectorised over the frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.labels import ACTIVITIES, CUES, MODALITIES, TASKS
from service.contract.manifest import Calibration
from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.pipeline.answers import Activity, Explanation, LineOfSight, Position, Region, Wgs84
from service.pipeline.geodesy import to_wgs84
from service.trajectory.vertex import Trajectory

CONFIDENCE = 90  # percent, of the region
REGION_KEY = "0.90"  # its quantile in the manifest's calibration

_CHI2 = -2 * math.log(1 - CONFIDENCE / 100)  # quantile of a chi-squared distribution with 2 degrees of freedom

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Everything that a model says of one frame, whether it was asked or not."""

    position: Position
    los: LineOfSight
    activity: Activity | None  # None where the model does not tell


def estimates(outputs: Outputs, sites: Sequence[Site], calibrations: Sequence[Calibration]) -> list[Estimate]:
    """Calibrate and turn to the frames of reference of the answer.

    Args:
        outputs: of the `fuse` graph for B frames, finite.
        sites: the site of each frame.
        calibrations: that of each frame.
    """
    quantile = np.array([c.region_quantile[REGION_KEY] for c in calibrations])
    scale = np.array([c.covariance_scale for c in calibrations])
    activities: list[Activity | None] = [None] * len(sites)
    if "activity_logits" in outputs:
        activities[:] = _activities(outputs["activity_logits"], calibrations)
    return [
        Estimate(position, los, activity)
        for position, los, activity in zip(
            positions(outputs["position"], outputs["scale_tril"], sites, quantile, scale),
            lines_of_sight(outputs["los_logit"], calibrations),
            activities,
            strict=True,
        )
    ]


def finite_rows(*outputs: Outputs) -> NDArray[np.bool_]:
    """Which frames have nothing but finite numbers in every output: bool `[B]`."""
    tensors = [tensor for group in outputs for tensor in group.values()]
    finite: NDArray[np.bool_] = np.all([np.isfinite(t).reshape(len(t), -1).all(axis=1) for t in tensors], axis=0)
    return finite


def chosen_tasks(
    task_logits: NDArray[np.float32] | None,  # [B, 3]; None where the model reads no text
    asked: Sequence[tuple[str, ...] | None],
    texts: Sequence[str | None],
    sites: Sequence[Site],
) -> list[frozenset[str]]:
    """The tasks to answer for each frame: those asked for, else those its text asks for, else all of its site.

    Empty where a text asks for nothing that the site can answer.
    """
    logits = np.ones((len(sites), len(TASKS))) if task_logits is None else task_logits
    wanted = [frozenset(task for task, logit in zip(TASKS, row, strict=True) if logit > 0) for row in logits.tolist()]
    return [
        frozenset(tasks) if tasks else (by_text if text is not None else frozenset(TASKS)) & frozenset(site.tasks)
        for tasks, text, by_text, site in zip(asked, texts, wanted, sites, strict=True)
    ]


def explanations(
    weights: Outputs,
    outputs: Outputs,
    trajectories: Sequence[Trajectory],
    sites: Sequence[Site],
    calibrations: Sequence[Calibration],
) -> list[Explanation]:
    """Why each frame was answered as it was.

    Args:
        weights: `gate` or `router_weight` `[B, 4]`, whichever the model has.
        outputs: of the `fuse` graph.
        trajectories: that each frame ends; their steps are the last ones of `step_weight`.
        sites: the site of each.
        calibrations: that of each.
    """
    gates, cues = _shares(weights.get("gate"), MODALITIES), _shares(weights.get("router_weight"), CUES)
    steps = outputs["step_weight"].astype(np.float64).round(6).tolist()
    scores = outputs["ood_score"].astype(np.float64).round(6).tolist()
    found = []
    for row, (site, trajectory, calibration) in enumerate(zip(sites, trajectories, calibrations, strict=True)):
        length = min(len(trajectory), len(steps[row]))
        carrier_hz = float(trajectory.carriers_hz[-1])
        found.append(
            Explanation(
                gate=gates[row] if gates else None,
                cues=cues[row] if cues else None,
                carrier_hz=None if math.isnan(carrier_hz) else carrier_hz,
                trajectory_length=length,
                step_weight=tuple(steps[row][-length:]),
                ood_score=scores[row],
                out_of_distribution=scores[row] > calibration.ood_threshold[site.name],
            )
        )
    return found


def _shares(weights: NDArray[np.float32] | None, names: Sequence[str]) -> list[dict[str, float]] | None:
    if weights is None:
        return None
    return [dict(zip(names, row, strict=True)) for row in weights.astype(np.float64).round(6).tolist()]


def positions(
    mast_m: NDArray[np.float32],
    scale_tril: NDArray[np.float32],
    sites: Sequence[Site],
    quantile: Floats,
    scale: Floats | None = None,
) -> list[Position]:
    """Points of the mast frame `[B, 2]`, with Cholesky factors `[B, 3]`, as answers.

    Args:
        mast_m: m.
        scale_tril: m.
        sites: the site of each.
        quantile: `[B]` calibrated squared Mahalanobis radius of the region of each.
        scale: `[B]` factor that makes the covariance honest; by default so that it tells the same story as the region.
    """
    enu, shape, wgs84 = _in_sites_frames(mast_m, _covariance(scale_tril), sites)
    covariance = shape * (quantile / _CHI2 if scale is None else scale)[:, None, None]
    semi_axes, orientation = _ellipses(shape, quantile)
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
    rows_of: dict[int, list[int]] = {}  # by identity: the hash of a site is that of all its fields
    for row, site in enumerate(sites):
        rows_of.setdefault(id(site), []).append(row)
    for some in rows_of.values():
        site, rows = sites[some[0]], some if len(some) < len(sites) else slice(None)
        enu[rows] = site.to_enu(mast_m[rows])
        covariance[rows] = site.covariance_to_enu(mast_m2[rows])
        wgs84[rows] = to_wgs84(enu[rows], site.origin_wgs84)
    return enu, covariance, wgs84


def _covariance(scale_tril: NDArray[np.float32]) -> Floats:
    """`L Lᵀ` `[B, 2, 2]` of (l11, l21, l22) `[B, 3]`."""
    factor = np.zeros((len(scale_tril), 2, 2))
    factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1] = scale_tril.astype(np.float64).T
    product: Floats = factor @ factor.transpose(0, 2, 1)
    return product


def _ellipses(shape: Floats, squared_radius: Floats) -> tuple[Floats, Floats]:
    """Semi-axes `[B, 2]` (major, minor) of `{x: xᵀ shape⁻¹ x <= squared_radius}` and the major one's bearing `[B]`."""
    values, vectors = np.linalg.eigh(shape)  # ascending
    semi_axes = np.sqrt(values[:, ::-1].clip(min=0.0) * squared_radius[:, None])
    east, north = vectors[:, 0, 1], vectors[:, 1, 1]
    bearing_deg = np.degrees(np.arctan2(east, north))
    return semi_axes, bearing_deg.round(2) % 180.0


def lines_of_sight(logit: NDArray[np.float32], calibrations: Sequence[Calibration]) -> list[LineOfSight]:
    """Log-odds `[B]` as calibrated answers."""
    temperature = np.array([c.los_temperature for c in calibrations])
    probability = 0.5 * (1.0 + np.tanh(0.5 * logit.astype(np.float64) / temperature))  # never overflows
    return [LineOfSight(p >= 0.5, p) for p in probability.round(6).tolist()]


def _activities(logits: NDArray[np.float32], calibrations: Sequence[Calibration]) -> list[Activity]:
    scaled = logits.astype(np.float64) / np.array([[c.activity_temperature] for c in calibrations])
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities = (odds / odds.sum(axis=1, keepdims=True)).round(6)
    return [
        Activity(ACTIVITIES[best], row[best], dict(zip(ACTIVITIES, row, strict=True)))
        for best, row in zip(probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True)
    ]
