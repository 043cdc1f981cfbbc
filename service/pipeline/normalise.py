"""The first stage: frames sorted by the model that answers them, as the tensors that it encodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.contract.tensors import RADIO
from service.engine.merging import CAPTURE_TENSORS
from service.engine.protocol import Inputs
from service.errors import InvalidInput
from service.normalizers.camera import CameraLimits, decode_camera
from service.normalizers.text import text_tokens
from service.pipeline.assembly import Picture, PreparedScene, csi_inputs, frame_digests, scene_inputs
from service.pipeline.frames import SiteFrame, SiteScene
from service.pipeline.model import Model
from service.pipeline.radio_assembly import carriers_hz, radio_inputs

Place = tuple[int, int]
"""A request among several, and a frame's position in it."""
Pictures = Mapping[int, Picture | InvalidInput]
"""The decoded camera frames of a request's captures, by their row in it, or what is wrong with them."""


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be normalised of one request.

    Attributes:
        frames: those that passed `check_batch`, by their position in the request.
        scenes: the captures that they refer to, by their row in the request.
    """

    frames: Mapping[int, SiteFrame]
    scenes: Mapping[int, SiteScene]

    @property
    def has_pictures(self) -> bool:
        """Whether there is a camera frame to decode."""
        return any(scene.capture.camera is not None for scene in self.scenes.values())


@dataclass(frozen=True, eq=False)
class ModelBatch:
    """The frames of some requests that one model answers.

    Attributes:
        model: the model.
        places: where each frame came.
        entries: the frames.
        sites: their sites.
        inputs: of the model's `encode` graph.
        text: tokens of each frame's instruction.
        digests: what identifies the raw content of each frame.
        carriers_hz: what the CSI of each frame was measured on, NaN where there is none.
    """

    model: Model
    places: list[Place]
    entries: list[SiteFrame]
    sites: list[Site]
    inputs: Inputs
    text: NDArray[np.int64]
    digests: list[bytes]
    carriers_hz: list[float]

    def by_request(self) -> list[ModelBatch]:
        """The frames of each request alone."""
        rows: dict[int, list[int]] = {}
        for row, (number, _) in enumerate(self.places):
            rows.setdefault(number, []).append(row)
        return [self._of(own) for own in rows.values()]

    def _of(self, rows: list[int]) -> ModelBatch:
        return ModelBatch(
            model=self.model,
            places=[self.places[row] for row in rows],
            entries=[self.entries[row] for row in rows],
            sites=[self.sites[row] for row in rows],
            inputs={name: tensor if name in CAPTURE_TENSORS else tensor[rows] for name, tensor in self.inputs.items()},
            text=self.text[rows],
            digests=[self.digests[row] for row in rows],
            carriers_hz=[self.carriers_hz[row] for row in rows],
        )


def pictures(work: Work, limits: CameraLimits) -> Pictures:
    """Decode the camera frame of each capture once. Blocks, for most of the time without the interpreter's lock.

    Args:
        work: what is to be normalised.
        limits: what a camera frame may be.
    """
    return {
        row: _picture(scene.capture.camera, f"scenes[{row}].camera", limits)
        for row, scene in work.scenes.items()
        if scene.capture.camera is not None
    }


def normalise(
    requests: Sequence[Work], decoded: Sequence[Pictures], models: Mapping[str, Model], sites: Mapping[str, Site]
) -> tuple[list[ModelBatch], dict[Place, InvalidInput]]:
    """Fail the frames that refer to a bad capture, assemble the rest. Blocks.

    Args:
        requests: what is to be normalised.
        decoded: of each, by `pictures`.
        models: the model of each site.
        sites: every site, by name.

    Returns:
        The work of each model, and the errors of the frames that failed.
    """
    scenes, bad = _prepared(requests, decoded, sites)
    errors: dict[Place, InvalidInput] = {}
    members: dict[Model, dict[Place, SiteFrame]] = {}
    for number, work in enumerate(requests):
        for index, entry in work.frames.items():
            row = entry.frame.scene
            if row is not None and (number, row) in bad:
                errors[number, index] = bad[number, row]
            else:
                members.setdefault(models[entry.site], {})[number, index] = entry
    return [_assembled(model, of_model, scenes, sites) for model, of_model in members.items()], errors


def _prepared(
    requests: Sequence[Work], decoded: Sequence[Pictures], sites: Mapping[str, Site]
) -> tuple[dict[Place, PreparedScene], dict[Place, InvalidInput]]:
    """The captures of each request by their row in it, and what is wrong with the others."""
    prepared: dict[Place, PreparedScene] = {}
    bad: dict[Place, InvalidInput] = {}
    for number, (work, of_request) in enumerate(zip(requests, decoded, strict=True)):
        for row, scene in work.scenes.items():
            camera = of_request.get(row)
            if isinstance(camera, InvalidInput):
                bad[number, row] = camera
            else:
                prepared[number, row] = PreparedScene(sites[scene.site], scene.capture, camera)
    return prepared, bad


def _picture(camera: bytes, field: str, limits: CameraLimits) -> Picture | InvalidInput:
    try:
        return decode_camera(camera, limits)
    except ValueError as error:
        expected, _, got = str(error).removeprefix("expected ").partition(", got ")
        return InvalidInput(field, expected, got)


def _assembled(
    model: Model,
    members: Mapping[Place, SiteFrame],
    scenes: Mapping[Place, PreparedScene],
    sites: Mapping[str, Site],
) -> ModelBatch:
    """The work of a model."""
    entries = list(members.values())
    frames, frame_sites = [entry.frame for entry in entries], [sites[entry.site] for entry in entries]
    captured = [
        None if frame.scene is None else (number, frame.scene)
        for (number, _), frame in zip(members, frames, strict=True)
    ]
    used = {place: scenes[place] for place in dict.fromkeys(captured) if place is not None}
    if model.contract is RADIO:
        inputs = radio_inputs(frames, frame_sites, model.site_numbers)
    else:
        inputs = {**scene_inputs(captured, used), **csi_inputs(frames, frame_sites)}
    return ModelBatch(
        model=model,
        places=list(members),
        entries=entries,
        sites=frame_sites,
        inputs=inputs,
        text=text_tokens([frame.text for frame in frames]),
        digests=frame_digests(frames, captured, used),
        carriers_hz=carriers_hz(frames, frame_sites),
    )
