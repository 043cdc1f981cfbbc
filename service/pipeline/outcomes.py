"""Decoded outputs as the outcome of each frame: an answer less what was not asked for, or the error that it met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.contract.manifest import Calibration
from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.errors import CellsenseError, EngineFailure, UnknownTask
from service.pipeline.answers import Answer, TrajectoryAnswer, VertexAnswer
from service.pipeline.decoding import chosen_tasks, estimates, explanations, finite_rows
from service.pipeline.frames import SiteFrame
from service.pipeline.model import Model
from service.pipeline.normalise import Place
from service.pipeline.paths import paths
from service.trajectory.vertex import Trajectory

Outcome = Answer | CellsenseError


def frame_outcomes(
    model: Model,
    frames: Mapping[Place, SiteFrame],
    sites: Sequence[Site],
    trajectories: Sequence[Trajectory],
    weights: Outputs,
    fused: Outputs,
    degraded: tuple[str, ...],
) -> dict[Place, Outcome]:
    """The outcome of each of B frames.

    Args:
        model: that answered.
        frames: by their place.
        sites: the site of each.
        trajectories: that each of them ends.
        weights: what the `encode` graph gave beside the embeddings.
        fused: outputs of the `fuse` graph.
        degraded: what had to be done without.
    """
    newest = [model.manifest.calibration_at(float(trajectory.carriers_hz[-1])) for trajectory in trajectories]
    finite = finite_rows(fused)
    if not finite.all():
        fused = {name: np.where(np.isfinite(tensor), tensor, 0) for name, tensor in fused.items()}
    asked, texts = [entry.tasks for entry in frames.values()], [entry.frame.text for entry in frames.values()]
    tasks = chosen_tasks(fused.get("task_logits"), asked, texts, sites)
    found = estimates(fused, sites, newest)
    reasons = explanations(weights, fused, trajectories, sites, newest)
    wanted = [row for row, entry in enumerate(frames.values()) if entry.path]
    calibrations = {row: _calibrations(model, trajectories[row]) for row in wanted}
    whole = dict(zip(wanted, paths(fused, wanted, trajectories, sites, calibrations, tasks), strict=True))
    outcomes: dict[Place, Outcome] = {}
    for row, (place, entry) in enumerate(frames.items()):
        if not finite[row]:
            outcomes[place] = not_finite(model)
        elif not tasks[row]:
            outcomes[place] = _asks_for_nothing(f"frames[{place[1]}].text", sites[row], entry)
        else:
            outcomes[place] = Answer(
                site=entry.site,
                ue=entry.frame.ue,
                timestamp_s=entry.frame.timestamp_s,
                position=found[row].position if "position" in tasks[row] else None,
                los=found[row].los if "los" in tasks[row] else None,
                activity=found[row].activity if "activity" in tasks[row] else None,
                path=whole.get(row),
                explanation=reasons[row],
                degraded=degraded,
            )
    return outcomes


def trajectory_answer(model: Model, site: Site, trajectory: Trajectory, fused: Outputs) -> TrajectoryAnswer:
    """A whole trajectory, where row k of `fused` is that of its first k + 1 vertices. Raises `EngineFailure`."""
    if not finite_rows(fused).all():
        raise not_finite(model)
    calibrations, tasks = _calibrations(model, trajectory), frozenset(site.tasks)
    found = estimates(fused, [site] * len(trajectory), calibrations)
    vertices = [
        VertexAnswer(
            timestamp_s=timestamp_s,
            position=estimate.position if "position" in tasks else None,
            los=estimate.los if "los" in tasks else None,
            activity=estimate.activity if "activity" in tasks else None,
        )
        for timestamp_s, estimate in zip(trajectory.timestamps_s.tolist(), found, strict=True)
    ]
    newest = {name: tensor[-1:] for name, tensor in fused.items()}
    (whole,) = paths(newest, [0], [trajectory], [site], {0: calibrations}, [tasks])
    return TrajectoryAnswer(vertices, whole)


def _calibrations(model: Model, trajectory: Trajectory) -> list[Calibration]:
    """That of each vertex, by the carrier that it was measured on."""
    return [model.manifest.calibration_at(carrier_hz) for carrier_hz in trajectory.carriers_hz.tolist()]


def not_finite(model: Model) -> EngineFailure:
    """The error for a frame whose outputs are no numbers."""
    return EngineFailure(f"{model.manifest.name}: expected finite outputs, got NaN or infinity: report the frame")


def _asks_for_nothing(field: str, site: Site, entry: SiteFrame) -> UnknownTask:
    expected = f"an instruction that asks for {', '.join(site.tasks)} (tasks of site {site.name})"
    return UnknownTask(field, expected, repr(entry.frame.text))
