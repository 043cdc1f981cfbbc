"""How far the measured cues are right: the distance of the round trip and the strongest direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.shards import ShardSet

_READ = ["distance_m", "aoa_profile", "ue_position_m", "ue_present", "blocker"]


@dataclass(frozen=True)
class CueErrors:
    """Absolute errors of N frames at B bands.

    Attributes:
        clear: bool `[N]` line of sight.
        distance_m: float64 `[N, B]` against the slant range, nan where none was measured.
        sine: float64 `[N, B]` of the strongest direction against `sin(azimuth) cos(elevation)` of the UE.
    """

    clear: NDArray[np.bool_]
    distance_m: NDArray[np.float64]
    sine: NDArray[np.float64]


def cue_errors(shards: ShardSet, episodes: list[tuple[str, int]], quiet: bool) -> CueErrors:
    """Errors over all frames of some episodes (site, episode)."""
    bands = len(shards.settings["bands"])
    parts = [CueErrors(np.zeros(0, bool), np.zeros((0, bands)), np.zeros((0, bands)))]
    for name, episode in tqdm(episodes, desc="cues", unit="episode", disable=quiet):
        site = shards.site(name)
        arrays = shards.read(name, episode, _READ)
        there = np.broadcast_to(arrays["ue_present"].astype(bool), arrays["blocker"].shape)
        away = site.to_mast(arrays["ue_position_m"][there] - np.float64([0.0, 0.0, site.mast_height_m]))
        range_m = np.linalg.norm(away, axis=1)
        profile = arrays["aoa_profile"][there]
        middle = profile.shape[-1] // 2
        strongest = (profile.argmax(-1) - middle) / middle
        parts.append(
            CueErrors(
                clear=arrays["blocker"][there] == 0,
                distance_m=np.abs(arrays["distance_m"][there].astype(np.float64) - range_m[:, None]),
                sine=np.abs(strongest - (away[:, 1] / range_m)[:, None]),
            )
        )
    return CueErrors(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("clear", "distance_m", "sine")))
