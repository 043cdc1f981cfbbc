"""The first stage: frames sorted by the model that answers them, as the tensors that it encodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import SceneCapture
from service.contract.sites import Site
from service.contract.tensors import RADIO
from service.engine.protocol import Inputs
from service.errors import InvalidInput
from service.normalizers.camera import CameraLimits, decode_camera
from service.normalizers.text import text_tokens
from service.pipeline.assembly import Picture, PreparedScene, csi_inputs, frame_digests, scene_inputs
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


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be normalised of one request, and what came of it.

    Attributes:
        frames: those that passed `check_batch`, by their position in the request.
        scenes: the captures that they refer to, by their row in the request.
        groups: the work of each model.
        errors: of the frames that failed, by position.
    """

    frames: Mapping[int, SiteFrame]
    scenes: Mapping[int, SiteScene]
    groups: list[ModelBatch] = field(default_factory=list)
    errors: dict[int, InvalidInput] = field(default_factory=dict)


def normalise(
    requests: Sequence[Work], models: Mapping[str, Model], sites: Mapping[str, Site], limits: CameraLimits
) -> None:
    """Decode each capture once, fail the frames that refer to a bad one, assemble the rest. Blocks: run it in a thread.

    Args:
        requests: each gets its groups and its errors. The channels of all of them are normalised together.
        models: the model of each site.
        sites: every site, by name.
        limits: what a camera frame may be.
    """
    members: dict[Model, list[_Members]] = {}
    for work in requests:
        of_model: dict[Model, dict[int, SiteFrame]] = {}
        prepared, bad = _prepared(work.scenes, sites, limits)
        for index, entry in work.frames.items():
            row_of_scene = entry.frame.scene
            if row_of_scene is not None and row_of_scene in bad:
                work.errors[index] = bad[row_of_scene]
            else:
                of_model.setdefault(models[entry.site], {})[index] = entry
        for model, entries in of_model.items():
            members.setdefault(model, []).append(_Members(work, entries, prepared))
    for model, of_requests in members.items():
        _assemble(model, of_requests, sites)


@dataclass(frozen=True, eq=False)
class _Members:
    """The frames of a request that one model answers, and the request's captures."""

    work: Work
    entries: dict[int, SiteFrame]
    scenes: dict[int, PreparedScene]


def _prepared(
    scenes: Mapping[int, SiteScene], sites: Mapping[str, Site], limits: CameraLimits
) -> tuple[dict[int, PreparedScene], dict[int, InvalidInput]]:
    prepared: dict[int, PreparedScene] = {}
    bad: dict[int, InvalidInput] = {}
    for row, scene in scenes.items():
        try:
            prepared[row] = PreparedScene(sites[scene.site], scene.capture, _camera(scene.capture, limits))
        except ValueError as error:
            bad[row] = _camera_error(f"scenes[{row}].camera", str(error))
    return prepared, bad


def _camera(capture: SceneCapture, limits: CameraLimits) -> Picture | None:
    return None if capture.camera is None else decode_camera(capture.camera, limits)


def _camera_error(field: str, text: str) -> InvalidInput:
    """The normalizer says "expected ..., got ..."."""
    expected, _, got = text.removeprefix("expected ").partition(", got ")
    return InvalidInput(field, expected, got)


def _assemble(model: Model, members: Sequence[_Members], sites: Mapping[str, Site]) -> None:
    """Add the work of a model to each request."""
    frames = [entry.frame for each in members for entry in each.entries.values()]
    frame_sites = [sites[entry.site] for each in members for entry in each.entries.values()]
    radio = model.contract is RADIO
    tensors = radio_inputs(frames, frame_sites, model.site_numbers) if radio else csi_inputs(frames, frame_sites)
    text, carriers = text_tokens([frame.text for frame in frames]), carriers_hz(frames, frame_sites)
    start = 0
    for each in members:
        rows = slice(start, start + len(each.entries))
        start = rows.stop
        own = frames[rows]
        used = {row: each.scenes[row] for row in dict.fromkeys(f.scene for f in own if f.scene is not None)}
        inputs = {name: tensor[rows] for name, tensor in tensors.items()}
        each.work.groups.append(
            ModelBatch(
                model=model,
                indices=list(each.entries),
                entries=list(each.entries.values()),
                sites=frame_sites[rows],
                inputs=inputs if radio else {**scene_inputs(own, used), **inputs},
                text=text[rows],
                digests=frame_digests(own, used),
                carriers_hz=carriers[rows],
            )
        )
