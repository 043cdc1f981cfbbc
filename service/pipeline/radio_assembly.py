"""Frames to the tensors of a radio artifact's `encode` graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import SensingFrame
from service.contract.labels import CUES
from service.contract.sites import Site
from service.normalizers.channel import channel_tensors
from service.normalizers.cues import DISTANCE_UNIT_M

Tensor = NDArray[np.generic]


def radio_inputs(
    frames: Sequence[SensingFrame], sites: Sequence[Site], numbers: Mapping[str, int]
) -> dict[str, Tensor]:
    """`RADIO_ENCODE_INPUTS` of B frames, each of which has CSI.

    Args:
        frames: the frames.
        sites: the site of each.
        numbers: the row of each site in the artifact's manifest.
    """
    channels = np.array([frame.csi for frame in frames if frame.csi is not None])
    distance_m = np.array([[math.nan if f.distance_m is None else f.distance_m] for f in frames], np.float32)
    mask = np.ones((len(frames), len(CUES)), np.float32)
    mask[:, CUES.index("distance")] = np.isfinite(distance_m[:, 0])
    return {
        **channel_tensors(channels),
        "measured_distance": np.nan_to_num(distance_m) / np.float32(DISTANCE_UNIT_M),
        "cue_mask": mask,
        "carrier": np.log10(np.array([[hz] for hz in carriers_hz(frames, sites)]) / 1e9).astype(np.float32),
        "site": np.array([numbers[site.name] for site in sites], np.int64),
    }


def carriers_hz(frames: Sequence[SensingFrame], sites: Sequence[Site]) -> list[float]:
    """The carrier that each frame's CSI was measured on; NaN for a frame without CSI."""
    return [
        math.nan if frame.csi is None else float(frame.carrier_hz or site.carrier_hz or math.nan)
        for frame, site in zip(frames, sites, strict=True)
    ]
