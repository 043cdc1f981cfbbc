"""Bytes of a request to a batch. A bad frame or scene becomes an error in its place; a bad envelope fails whole."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.media import Form
from service.api.reading import read, shown
from service.api.schemas import Envelope, Frame, Scene
from service.api.tensors import CSI, LIDAR, RADAR, array, raw_bytes
from service.contract.captures import SceneCapture, SensingFrame
from service.errors import InvalidInput, PayloadTooLarge, UnknownScene
from service.pipeline import Batch, SiteFrame, SiteScene

_NAMED = 8  # ids that an error message lists at most


def parse_batch(form: Form, body: bytes | bytearray | memoryview, max_frames: int, max_scenes: int) -> Batch:
    """The batch of a `SenseRequest`. Blocks: run it in a thread.

    Args:
        form: of the body.
        body: a document.
        max_frames: most frames of a request.
        max_scenes: most scene captures of a request.

    Raises:
        MalformedBody: not of that form.
        InvalidInput: the envelope does not fit, or there is no frame.
        PayloadTooLarge: too many frames or scenes.
    """
    envelope = read(Envelope, form.load(body), "")
    if not envelope.frames:
        raise InvalidInput("frames", f"1 to {max_frames} frames", "none")
    for name, entries, most in (("frames", envelope.frames, max_frames), ("scenes", envelope.scenes, max_scenes)):
        if len(entries) > most:
            raise PayloadTooLarge(name, f"at most {most} in a request: split the batch", str(len(entries)))
    scenes, rows = _scenes(envelope.scenes)
    return Batch(tuple(scenes), tuple(_frame(entry, index, rows) for index, entry in enumerate(envelope.frames)))


def _scenes(entries: list[object]) -> tuple[list[SiteScene | InvalidInput], dict[str, int]]:
    """The scenes, and the row of each id. A bad scene keeps its id: what refers to it fails with its error."""
    scenes: list[SiteScene | InvalidInput] = []
    rows: dict[str, int] = {}
    for row, entry in enumerate(entries):
        scenes.append(_scene(entry, f"scenes[{row}]"))
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and rows.setdefault(name, row) != row:
            # Whoever refers to this id may mean either.
            got = f"{shown(name)}, which scenes[{rows[name]}] has too"
            scenes[rows[name]] = InvalidInput(f"scenes[{row}].id", "an id of its own", got)
    return scenes, rows


def _scene(entry: object, field: str) -> SiteScene | InvalidInput:
    try:
        scene = read(Scene, entry, field)
        capture = SceneCapture(
            camera=None if scene.camera is None else raw_bytes(scene.camera, f"{field}.camera"),
            radar=None if scene.radar is None else array(scene.radar, RADAR, f"{field}.radar"),
            lidar=None if scene.lidar is None else array(scene.lidar, LIDAR, f"{field}.lidar"),
        )
    except InvalidInput as error:
        return error
    return SiteScene(scene.site, capture)


def _frame(entry: object, index: int, rows: Mapping[str, int]) -> SiteFrame | InvalidInput:
    field = f"frames[{index}]"
    try:
        frame = read(Frame, entry, field)
        if frame.scene is not None and frame.scene not in rows:
            ids = ", ".join(shown(name) for name in list(rows)[:_NAMED]) or "there is none"
            return UnknownScene(f"{field}.scene", f"the id of a scene in this request ({ids})", shown(frame.scene))
        sensed = SensingFrame(
            ue=frame.ue,
            timestamp_s=frame.timestamp_s,
            csi=None if frame.csi is None else array(frame.csi, CSI, f"{field}.csi"),
            scene=None if frame.scene is None else rows[frame.scene],
            text=frame.text,
            carrier_hz=frame.carrier_hz,
            distance_m=frame.distance_m,
        )
    except InvalidInput as error:
        return error
    return SiteFrame(frame.site, sensed, None if frame.tasks is None else tuple(frame.tasks), frame.path)
