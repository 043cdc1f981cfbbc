"""The sample that travels with a radio artifact: UEs of one held-out episode on every carrier, with the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.raytraced.bands import BANDS
from models.data.raytraced.frontend import Measured
from models.data.shards import ShardSet
from models.sample import Line, tensor
from service.contract.sites import Site


def radio_lines(shards: ShardSet, episode: int, ues: Sequence[int], site: Site) -> list[Line]:
    """A request a snapshot: each of the `ues`, once on each carrier, as a UE of its own."""
    arrays = shards.read(site.name, episode)
    csi = Measured(arrays["csi_levels"], arrays["csi_scale"]).csi()  # [K, U, B, 32, 64]
    lines = []
    for k, time_s in enumerate(arrays["time_s"].tolist()):
        frames, truth = [], []
        for ue in ues:
            for number, band in enumerate(BANDS):
                frame = {
                    "site": site.name,
                    "ue": f"{episode}-{shards.recipe.bodies[int(arrays['ue_body'][ue])].kind}-{ue}-{band.name}",
                    "timestamp_s": time_s,
                    "csi": tensor(csi[k, ue, number]),
                    "carrier_hz": band.carrier_hz,
                }
                distance_m = float(arrays["distance_m"][k, ue, number])
                if np.isfinite(distance_m):
                    frame["distance_m"] = round(distance_m, 3)
                frames.append(frame)
                truth.append(
                    {
                        "position_enu_m": [round(float(v), 3) for v in arrays["ue_position_m"][k, ue, :2]],
                        "los": bool(arrays["blocker"][k, ue] == 0),
                        "activity": None,
                    }
                )
        lines.append(Line({"scenes": [], "frames": frames}, truth))
    return lines
