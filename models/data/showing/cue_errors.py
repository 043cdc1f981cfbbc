"""How far the cues of the CSI are right: the length of the first path and the strongest direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.raytraced_set import measured_csi
from models.data.shards import ShardSet
from models.data.showing.instant import layout_of
from service.normalizers.cues import AOA_BINS, DISTANCE_UNIT_M, aoa_profile, distance

_READ = ["csi_levels", "csi_scale", "ue_position_m", "blocker"]


def cue_errors(shards: ShardSet, episodes: list[int], quiet: bool) -> dict[str, NDArray[np.float64]]:
    """Absolute errors over the frames with line of sight of some episodes.

    Returns:
        `distance_m` `[N]` of the first path against the slant range, and `sine` `[N]` of the strongest direction
        against `sin(azimuth) cos(elevation)` of the UE.
    """
    site = layout_of(shards).site
    assert site.bandwidth_hz
    errors: dict[str, list[NDArray[np.float64]]] = {"distance_m": [], "sine": []}
    for episode in tqdm(episodes, desc="cues", unit="episode", disable=quiet):
        arrays = shards.read(episode, _READ)
        clear = arrays["blocker"] == 0
        csi = measured_csi(arrays)[clear]
        away = site.to_mast(arrays["ue_position_m"][clear] - [0.0, 0.0, site.mast_height_m])
        range_m = np.linalg.norm(away, axis=1)
        errors["distance_m"].append(np.abs(DISTANCE_UNIT_M * distance(csi, site.bandwidth_hz)[:, 0] - range_m))
        strongest = (aoa_profile(csi).argmax(1) - AOA_BINS // 2) / (AOA_BINS // 2)
        errors["sine"].append(np.abs(strongest - away[:, 1] / range_m))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in errors.items()}
