"""Frames and scene captures to ask with: those of the recording that an artifact ships."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from service.contract.manifest import Manifest
from service.contract.sites import Site
from service.demo.recording import read_recording

Json = dict[str, Any]
_FRAMES = 64  # more would make no difference to the time


@dataclass(frozen=True)
class Material:
    """Of one site, tensors and pictures as bytes. Frames say nothing of UE, time and scene yet."""

    manifest: Manifest
    site: Site
    frames: list[Json]
    scenes: list[Json]

    @classmethod
    def of(cls, artifact: Path) -> Material:
        """What the recording has of the first site in it. Raises `ValueError` where it has no frame with CSI."""
        requests = [raw(exchange.request) for exchange in read_recording(artifact / "sample.jsonl.gz")]
        with_csi = [frame for request in requests for frame in request["frames"] if "csi" in frame]
        if not with_csi:
            raise ValueError(f"{artifact}: expected a recording with CSI, got none")
        manifest, name = Manifest.load(artifact), with_csi[0]["site"]
        (site,) = (site for site in manifest.sites if site.name == name)
        scenes = [scene for request in requests for scene in request.get("scenes", ()) if scene["site"] == name]
        own = ({k: v for k, v in frame.items() if k not in ("ue", "timestamp_s", "scene")} for frame in with_csi)
        return cls(manifest, site, list(islice((frame for frame in own if frame["site"] == name), _FRAMES)), scenes)


def raw(value: Any) -> Any:
    """The document of JSON with bytes in place of base64."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each) if name in ("data", "camera") and isinstance(each, str) else raw(each)
            for name, each in value.items()
        }
    return [raw(each) for each in value] if isinstance(value, list) else value
