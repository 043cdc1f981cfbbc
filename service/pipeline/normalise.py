"""The first stage: frames sorted by the model that answers them, as the tensors that it encodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import SceneCapture, SensingFrame
from service.contract.sites import Site
from service.contract.tensors import RADIO
from service.engine.protocol import Inputs
from service.errors import InvalidInput
from service.normalizers.camera import CameraLimits, decode_camera
from service.normalizers.text import text_tokens
from service.pipeline.assembly import Picture, PreparedScene, encode_inputs, frame_digests
from service.pipeline.frames import SiteFrame, SiteScene
from service.pipeline.model import Model
from service.pipeline.radio_assembly import carriers_hz, radio_inputs


@dataclass(frozen=True, eq=False)
class ModelBatch:
    """The frames of a request that one model answers.

    Attributes:
        model: the model.
        indices: position of each frame in the request.
        entries: the frames.
        sites: their sites.
        inputs: of the model's `encode` graph.
        text: tokens of each frame's instruction.
        digests: what identifies the raw content of each frame.
        carriers_hz: what the CSI of each frame was measured on, NaN where there is none.
    """

    model: Model
    indices: list[int]
    entries: list[SiteFrame]
    sites: list[Site]
    inputs: Inputs
    text: NDArray[np.int64]
    digests: list[bytes]
    carriers_hz: list[float]


def normalise(
    frames: Mapping[int, SiteFrame],
    scenes: Mapping[int, SiteScene],
    models: Mapping[str, Model],
    sites: Mapping[str, Site],
    limits: CameraLimits,
) -> tuple[list[ModelBatch], dict[int, InvalidInput]]:
    """Decode each capture once, fail the frames that refer to a bad one, assemble the rest. Blocks: run it in a thread.

    Args:
        frames: those that passed `check_batch`, by their position in the request.
        scenes: the captures that they refer to, by their row in the request.
        models: the model of each site.
        sites: every site, by name.
        limits: what a camera frame may be.

    Returns:
        The work of each model, and the errors of the frames that failed, by position.
    """
    prepared: dict[int, PreparedScene] = {}
    bad: dict[int, InvalidInput] = {}
    for row, scene in scenes.items():
        try:
            prepared[row] = PreparedScene(sites[scene.site], scene.capture, _camera(scene.capture, limits))
        except ValueError as error:
            bad[row] = _camera_error(f"scenes[{row}].camera", str(error))
    errors: dict[int, InvalidInput] = {}
    members: dict[Model, dict[int, SiteFrame]] = {}
    for index, entry in frames.items():
        row_of_scene = entry.frame.scene
        if row_of_scene is not None and row_of_scene in bad:
            errors[index] = bad[row_of_scene]
        else:
            members.setdefault(models[entry.site], {})[index] = entry
    return [_model_batch(model, entries, sites, prepared) for model, entries in members.items()], errors


def _camera(capture: SceneCapture, limits: CameraLimits) -> Picture | None:
    return None if capture.camera is None else decode_camera(capture.camera, limits)


def _camera_error(field: str, text: str) -> InvalidInput:
    """The normalizer says "expected ..., got ..."."""
    expected, _, got = text.removeprefix("expected ").partition(", got ")
    return InvalidInput(field, expected, got)


def _model_batch(
    model: Model, members: Mapping[int, SiteFrame], sites: Mapping[str, Site], scenes: Mapping[int, PreparedScene]
) -> ModelBatch:
    entries = list(members.values())
    frames = [entry.frame for entry in entries]
    used = {row: scenes[row] for row in dict.fromkeys(f.scene for f in frames if f.scene is not None)}
    frame_sites = [sites[entry.site] for entry in entries]
    return ModelBatch(
        model=model,
        indices=list(members),
        entries=entries,
        sites=frame_sites,
        inputs=_inputs(model, frames, frame_sites, used),
        text=text_tokens([frame.text for frame in frames]),
        digests=frame_digests(frames, used),
        carriers_hz=carriers_hz(frames, frame_sites),
    )


def _inputs(
    model: Model, frames: Sequence[SensingFrame], sites: Sequence[Site], scenes: Mapping[int, PreparedScene]
) -> Inputs:
    if model.contract is RADIO:
        return radio_inputs(frames, sites, model.site_numbers)
    return encode_inputs(frames, sites, scenes)
