"""All that the networks see of a channel, in one pass: what the normalizers have in common is computed once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.normalizers.csi import beam_blocks, empty_planes, fill_planes, unit_scale
from service.normalizers.cues import AOA_BINS, aoa_of, distance_of, gain_of


def channel_tensors(
    csi: NDArray[np.complex64], bandwidth_hz: ArrayLike | None = None
) -> dict[str, NDArray[np.float32]]:
    """What `csi_planes`, `aoa_profile`, `gain` and `distance` give, to the last bit.

    Args:
        csi: complex64 `[B, 32, 64]` in sqrt(mW), finite, in the layout of `contract.captures`.
        bandwidth_hz: one value, or `[B]`; more than 0. None leaves out the distance.

    Returns:
        By name: `csi`, `aoa`, `gain` and, where the bandwidth is given, `distance`.

    Raises:
        ValueError: a shape does not fit.
    """
    scaled = unit_scale(csi)
    planes, profiles = empty_planes(len(csi)), np.empty((len(csi), AOA_BINS), np.float32)
    for beams in beam_blocks(scaled):
        profiles[beams.rows] = aoa_of(beams)
        fill_planes(planes[beams.rows], beams)
    tensors = {"csi": planes, "aoa": profiles, "gain": gain_of(scaled)}
    if bandwidth_hz is not None:
        tensors["distance"] = distance_of(scaled, bandwidth_hz)
    return tensors
