"""Smoothed paths and centroids of trajectories, from the outputs of a radio artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from service.contract.manifest import Calibration
from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.pipeline.answers import Path, PathVertex
from service.pipeline.decoding import REGION_KEY, lines_of_sight, positions
from service.trajectory.vertex import Trajectory


def paths(
    outputs: Outputs,
    rows: Sequence[int],
    trajectories: Sequence[Trajectory],
    sites: Sequence[Site],
    calibrations: Mapping[int, Sequence[Calibration]],
    tasks: Sequence[frozenset[str]],
) -> list[Path | None]:
    """The whole of some trajectories.

    Args:
        outputs: of the `fuse` graph for B trajectories, finite.
        rows: those to answer.
        trajectories: the B, as they were fused.
        sites: the site of each.
        calibrations: those of the vertices of each of `rows`, oldest first.
        tasks: what each is to be answered for.

    Returns:
        One for each of `rows`, None where the model has no paths.
    """
    if "path_position" not in outputs or not rows:
        return [None] * len(rows)
    steps = outputs["path_position"].shape[1]
    lengths = [min(len(trajectories[row]), steps) for row in rows]
    step = np.concatenate([np.arange(steps - length, steps) for length in lengths])  # the newest is always the last
    at = np.repeat(rows, lengths), step  # of every vertex of every trajectory, one after the other
    known = [c for row, length in zip(rows, lengths, strict=True) for c in calibrations[row][-length:]]
    quantile = np.array([c.path_quantile[REGION_KEY] for c in known])
    place, scale_tril = outputs["path_position"][at], outputs["path_scale_tril"][at]
    where = positions(place, scale_tril, [sites[row] for row in at[0]], quantile)
    los = lines_of_sight(outputs["path_los_logit"][at], known)

    quantile = np.array([calibrations[row][-1].centroid_quantile[REGION_KEY] for row in rows])
    place, scale_tril = outputs["centroid"][rows], outputs["centroid_scale_tril"][rows]
    centroids = positions(place, scale_tril, [sites[row] for row in rows], quantile)

    found: list[Path | None] = []
    for row, centroid, (start, end) in zip(rows, centroids, pairwise(np.cumsum([0, *lengths])), strict=True):
        with_position, with_los = ("position" in tasks[row]), ("los" in tasks[row])
        times_s = trajectories[row].timestamps_s[-(end - start) :].tolist()
        vertices = [
            PathVertex(timestamp_s, position if with_position else None, clear if with_los else None)
            for timestamp_s, position, clear in zip(times_s, where[start:end], los[start:end], strict=True)
        ]
        found.append(Path(tuple(vertices), centroid if with_position else None))
    return found
