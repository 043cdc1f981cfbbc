"""Bodies of `/v1/sense` in which some bytes change from request to request, so that none is like one before.

UEs take turns, times go forward, and a few numbers of every CSI and of every sensor of every capture are others each
time: a service that knows what it has seen has nothing to gain. All has a fixed width, so that the load generator
(`frames.lua`) writes it in place. Numbers are four digits: as raw bytes they are a float of some 1e-9 to 1e-4, and in
base64 the lower three bytes of one.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import orjson

from tests.bench.sense.cases import Case
from tests.bench.sense.material import Json, Material
from tests.bench.serving.wire import Request

PATH = "/v1/sense"
UES = 256  # that take turns: each has its trajectory filled after 16 frames of it
_NUMBERS = 10_000
_ANCHOR = 64  # characters of a tensor by which it is found in the body
_TIME_S = 1_700_000_000.000001  # its digits are as many as those of any time to come


@dataclass(frozen=True)
class Form:
    """How documents are written.

    Attributes:
        answered: what an answer has once for each frame that was answered.
        digits: as what four digits lie in the tensors.
        text: how bytes of a tensor appear in a body.
        time_kind, time: kind of the patch of a time, see `Patch`, and how it is written.
    """

    name: str
    media_type: str
    answered: bytes
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    digits: Callable[[bytes], bytes]
    text: Callable[[bytes], bytes]
    time_kind: str
    time: Callable[[float], bytes]


MESSAGEPACK = Form(
    "MessagePack",
    "application/vnd.msgpack",
    b"\xa6status\xcc\xc8",
    msgspec.msgpack.encode,
    msgspec.msgpack.decode,
    bytes,
    bytes,
    "float64",
    lambda time_s: struct.pack(">d", time_s),
)
JSON = Form(
    "JSON",
    "application/json",
    b'"status":200',
    lambda value: orjson.dumps(value, default=lambda data: base64.b64encode(data).decode()),
    orjson.loads,
    base64.b64decode,
    base64.b64encode,
    "digits",
    lambda time_s: f"{time_s:017.6f}".encode(),
)
FORMS = (MESSAGEPACK, JSON)


@dataclass(frozen=True)
class Patch:
    """Bytes that change: a `ue` (eight digits), a `number` (four), or a time, as `digits` or as a `float64`."""

    offset: int
    kind: str
    slot: int  # which of its kind


@dataclass(frozen=True)
class Template:
    """A body and what changes in it."""

    form: Form
    case: Case
    body: bytes = field(repr=False)
    patches: tuple[Patch, ...]

    def filled(self, sequence: int, time_s: float, ues: int = UES) -> Request:
        """The request of that number as `frames.lua` makes it."""
        body = bytearray(self.body)
        slots = {kind: sum(patch.kind == kind for patch in self.patches) for kind in ("ue", "number")}
        for patch in self.patches:
            if patch.kind == "ue":
                text = b"%08d" % ((sequence * slots["ue"] + patch.slot) % ues)
            elif patch.kind == "number":
                text = b"%04d" % ((sequence * slots["number"] + patch.slot) % _NUMBERS)
            else:
                text = self.form.time(time_s)
            body[patch.offset : patch.offset + len(text)] = text
        return Request(PATH, bytes(body), {"Content-Type": self.form.media_type})


def template(form: Form, case: Case, material: Material) -> Template:
    """The request of a case in a form."""
    marks = _Marks(form)
    scenes = [_scene(marks, f"capture-{row}", material.scenes[row]) for row in range(case.captures)]
    frames = []
    for slot in range(case.frames):
        frame = material.frames[slot % len(material.frames)]
        frame = {"ue": marks.ue(slot), "timestamp_s": marks.time(slot), **frame, "csi": marks.tensor(frame["csi"])}
        frames.append({**frame, "scene": scenes[slot % case.captures]["id"]} if scenes else frame)
    body = form.dump({"frames": frames, "scenes": scenes})
    return Template(form, case, body, tuple(marks.found(body)))


class _Marks:
    """Values that are put into a document, and found again in its body."""

    def __init__(self, form: Form) -> None:
        self._form, self._numbers = form, count()
        self._anchors: list[tuple[bytes, int, str, int]] = []  # what is found, where in it the patch is, kind, slot

    def ue(self, slot: int) -> str:
        prefix = f"{self._form.name}-"  # each form has its UEs: two loads at once do not meet
        name = f"{prefix}{slot:08d}"
        self._anchors.append((name.encode(), len(prefix), "ue", slot))
        return name

    def time(self, slot: int) -> float:
        self._anchors.append((self._form.time(_TIME_S + slot), 0, self._form.time_kind, slot))
        return _TIME_S + slot

    def tensor(self, described: Json) -> Json:
        """With a number in place of its first."""
        return {**described, "data": self._numbered(described["data"], 0)} if described["data"] else described

    def picture(self, file: bytes) -> bytes:
        """A JPEG with a comment that is a number; its payload begins where a group of base64 does."""
        if file[:2] != b"\xff\xd8":
            raise ValueError("camera: expected a JPEG")
        return self._numbered(b"\xff\xd8\xff\xfe\x00\x08" + bytes(6) + file[2:], 6)

    def _numbered(self, data: bytes, at: int) -> bytes:
        slot = next(self._numbers)
        digits = self._form.digits(b"%04d" % slot)
        data = data[:at] + digits + data[at + len(digits) :]
        text = self._form.text(data)
        start = len(self._form.text(data[:at]))
        self._anchors.append((text[: start + _ANCHOR], start, "number", slot))
        return data

    def found(self, body: bytes) -> list[Patch]:
        """The patches. Raises `ValueError` where one cannot be told from another."""
        for anchor, *_ in self._anchors:
            if (times := body.count(anchor)) != 1:
                raise ValueError(f"body: expected {anchor[:24]!r} once, got it {times} times")
        return [Patch(body.index(anchor) + offset, kind, slot) for anchor, offset, kind, slot in self._anchors]


def _scene(marks: _Marks, name: str, scene: Json) -> Json:
    marked: Json = {**scene, "id": name}
    for sensor in ("radar", "lidar"):
        if sensor in scene:
            marked[sensor] = marks.tensor(scene[sensor])
    if "camera" in scene:
        marked["camera"] = marks.picture(scene["camera"])
    return marked
