"""The sample that travels with an artifact: held-out frames as requests, with the truth beside them."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.measured import radhar
from models.data.measured.radhar import Recording
from models.data.raytraced.bands import band_index
from models.data.raytraced_set import captures, measured_csi
from models.data.shards import ShardSet
from service.contract.captures import SceneCapture
from service.contract.labels import ACTIVITIES
from service.contract.sites import Site

PEOPLE_WINDOWS = 4  # consecutive windows of each person in the sample


@dataclass(frozen=True)
class Line:
    """One request and the truth of its frames."""

    request: dict[str, Any]
    truth: list[dict[str, Any]]


def street_lines(shards: ShardSet, episodes: list[int], site: Site, band: str) -> list[Line]:
    """A request a snapshot: one scene capture and every UE that is there; times from 0, episode after episode."""
    lines = []
    begin_s = 0.0
    cast = shards.recipe.bodies
    for episode in episodes:
        arrays = shards.read(site.name, episode)
        csi = measured_csi(arrays, band_index(band))
        ues = [int(ue) for ue in np.flatnonzero(arrays["ue_present"])]
        bodies = [int(arrays["ue_body"][ue]) for ue in ues]
        names = [f"{episode}-{cast[body].kind}-{body}" for body in bodies]
        for k, capture in enumerate(captures(arrays, site)):
            scene = f"{site.name}-{episode}-{k}"
            frames = [
                {
                    "site": site.name,
                    "ue": name,
                    "timestamp_s": begin_s + float(arrays["time_s"][k]),
                    "scene": scene,
                    "csi": tensor(csi[k, ue]),
                }
                for ue, name in zip(ues, names, strict=True)
            ]
            truth = [
                {
                    "position_enu_m": [round(float(v), 3) for v in arrays["ue_position_m"][k, ue, :2]],
                    "los": bool(arrays["blocker"][k, ue] == 0),
                    "activity": None,
                }
                for ue in ues
            ]
            lines.append(Line({"scenes": [_scene(scene, site, capture)], "frames": frames}, truth))
        begin_s += float(arrays["time_s"][-1]) + 1.0
    return lines


def people_lines(recordings: list[Recording]) -> list[Line]:
    """A request for each of the first `PEOPLE_WINDOWS` windows, with all people in it."""
    lines = []
    for k in range(PEOPLE_WINDOWS):
        ids = [f"radhar-{number}-{k}" for number in range(len(recordings))]
        request = {
            "scenes": [
                {"id": name, "site": radhar.SITE.name, "radar": tensor(r.window(k))}
                for name, r in zip(ids, recordings, strict=True)
            ],
            "frames": [
                {
                    "site": radhar.SITE.name,
                    "ue": f"person-{number}",
                    "timestamp_s": k * radhar.HOP_FRAMES / radhar.FRAME_RATE_HZ,
                    "scene": name,
                }
                for number, name in enumerate(ids)
            ],
        }
        truth = [{"position_enu_m": None, "los": None, "activity": ACTIVITIES[r.activity]} for r in recordings]
        lines.append(Line(request, truth))
    return lines


def sample_people(recordings: list[Recording]) -> list[Recording]:
    """The first two files of every activity, by name."""
    test = sorted((r for r in recordings if r.windows >= PEOPLE_WINDOWS), key=lambda r: r.name)
    return [r for activity in range(len(ACTIVITIES)) for r in [t for t in test if t.activity == activity][:2]]


def write(lines: list[Line], path: Path) -> None:
    """Gzip JSON lines, the same bytes for the same lines."""
    text = "".join(json.dumps({"request": line.request, "truth": line.truth}) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def tensor(array: NDArray[np.generic]) -> dict[str, Any]:
    """An array as the wire wants it."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": _text(little.tobytes())}


def _scene(name: str, site: Site, capture: SceneCapture) -> dict[str, Any]:
    assert capture.camera is not None
    assert capture.radar is not None
    assert capture.lidar is not None
    return {
        "id": name,
        "site": site.name,
        "camera": _text(capture.camera),
        "radar": tensor(capture.radar),
        "lidar": tensor(capture.lidar),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
