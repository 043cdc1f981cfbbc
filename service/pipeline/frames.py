"""What goes into the pipeline: a batch of frames and the scene captures that they share.

A frame or a capture that could not be read takes part as the error that it is: positions stay those of the request,
and only what depends on it fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.contract.captures import SceneCapture, SensingFrame
from service.errors import InvalidInput


@dataclass(frozen=True)
class SiteScene:
    """A scene capture and the site whose sensors took it."""

    site: str
    capture: SceneCapture


@dataclass(frozen=True)
class SiteFrame:
    """A sensing frame, the site that took it, and what is asked.

    Attributes:
        tasks: those asked for; None: let the text or the site decide.
        path: whether the whole trajectory is to be answered beside the frame.
    """

    site: str
    frame: SensingFrame
    tasks: tuple[str, ...] | None = None
    path: bool = False


@dataclass(frozen=True)
class Batch:
    """One request. `SensingFrame.scene` is a row of `scenes`."""

    scenes: tuple[SiteScene | InvalidInput, ...]
    frames: tuple[SiteFrame | InvalidInput, ...]
