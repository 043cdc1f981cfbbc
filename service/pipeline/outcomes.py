"""Decoded outputs as the outcome of each frame: an answer less what was not asked for, or the error that it met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.errors import CellsenseError, EngineFailure, UnknownTask
from service.pipeline.answers import Answer, VertexAnswer
from service.pipeline.decoding import chosen_tasks, estimates, explanations, finite_rows
from service.pipeline.frames import SiteFrame
from service.pipeline.model import Model
from service.trajectory.vertex import Trajectory

Outcome = Answer | CellsenseError
Outcomes = dict[int, Outcome]
"""By the frame's position in the request."""


def frame_outcomes(
    model: Model,
    frames: dict[int, SiteFrame],
    sites: Sequence[Site],
    gate: NDArray[np.float32],
    fused: Outputs,
    lengths: Sequence[int],
    degraded: tuple[str, ...],
) -> Outcomes:
    """The outcome of each of B frames.

    Args:
        model: that answered.
        frames: by their position in the request.
        sites: the site of each.
        gate: float32 `[B, 4]`.
        fused: `FUSE_OUTPUTS`.
        lengths: steps of the trajectory of each.
        degraded: what had to be done without.
    """
    calibration = model.manifest.calibration
    finite = finite_rows(fused)
    fused = {name: np.where(np.isfinite(tensor), tensor, 0) for name, tensor in fused.items()}
    asked, texts = [entry.tasks for entry in frames.values()], [entry.frame.text for entry in frames.values()]
    tasks = chosen_tasks(fused["task_logits"], asked, texts, sites)
    found = estimates(fused, sites, calibration)
    reasons = explanations(gate, fused, lengths, sites, calibration)
    outcomes: Outcomes = {}
    for row, (index, entry) in enumerate(frames.items()):
        if not finite[row]:
            outcomes[index] = not_finite(model)
        elif not tasks[row]:
            outcomes[index] = _asks_for_nothing(f"frames[{index}].text", sites[row], entry)
        else:
            outcomes[index] = Answer(
                site=entry.site,
                ue=entry.frame.ue,
                timestamp_s=entry.frame.timestamp_s,
                position=found[row].position if "position" in tasks[row] else None,
                los=found[row].los if "los" in tasks[row] else None,
                activity=found[row].activity if "activity" in tasks[row] else None,
                explanation=reasons[row],
                degraded=degraded,
            )
    return outcomes


def vertex_answers(model: Model, site: Site, trajectory: Trajectory, fused: Outputs) -> list[VertexAnswer]:
    """The answer of each vertex, where `fused` are the outputs of the trajectory up to it. Raises `EngineFailure`."""
    if not finite_rows(fused).all():
        raise not_finite(model)
    found = estimates(fused, [site] * len(trajectory), model.manifest.calibration)
    return [
        VertexAnswer(
            timestamp_s=timestamp_s,
            position=estimate.position if "position" in site.tasks else None,
            los=estimate.los if "los" in site.tasks else None,
            activity=estimate.activity if "activity" in site.tasks else None,
        )
        for timestamp_s, estimate in zip(trajectory.timestamps_s.tolist(), found, strict=True)
    ]


def not_finite(model: Model) -> EngineFailure:
    """The error for a frame whose outputs are no numbers."""
    return EngineFailure(f"{model.manifest.name}: expected finite outputs, got NaN or infinity: report the frame")


def _asks_for_nothing(field: str, site: Site, entry: SiteFrame) -> UnknownTask:
    expected = f"an instruction that asks for {', '.join(site.tasks)} (tasks of site {site.name})"
    return UnknownTask(field, expected, repr(entry.frame.text))
