"""Load on every interface of one gateway at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.gateway import Gateway
from tests.bench.sense import frame_load
from tests.bench.sense.cases import Case
from tests.bench.sense.material import Material
from tests.bench.sense.template import JSON, MESSAGEPACK, Form, template
from tests.bench.serving.frames import draw
from tests.bench.serving.load import Load
from tests.bench.serving.oip_grpc import OipGrpc
from tests.bench.serving.oip_http import OipHttp
from tests.bench.serving.wire import Wire

_CASE = (4, 2)  # frames and captures of a request to /v1/sense


@dataclass(frozen=True)
class Interface:
    """A way to ask: `load` asks for so many seconds, with a folder for its files."""

    title: str
    frames: int  # of a request
    load: Callable[[float, Path], Load]


def interfaces(served: Gateway, artifact: Path, model: str, clients: int) -> list[Interface]:
    """All four, each with so many clients.

    Args:
        served: a gateway that serves both of the following.
        artifact: folder of the model that answers `/v1/sense`.
        model: name of the bench's model.

    Raises:
        OSError, ValueError: one of them does not answer, or not right.
    """
    material = Material.of(artifact)
    return [
        _oip("OIP HTTP, binary", OipHttp(), served.port, model, clients),
        _oip("OIP gRPC", OipGrpc(), served.grpc_port, model, clients),
        *(_sense(form, served.port, material, clients) for form in (MESSAGEPACK, JSON)),
    ]


def _oip(title: str, wire: Wire, port: int, model: str, clients: int) -> Interface:
    wire.require()
    request = wire.request(model, draw(1))
    answer = wire.post(port, request)
    wire.parse(answer)

    def load(seconds: float, scratch: Path) -> Load:
        return wire.load(port, request, answer, clients, seconds, scratch)

    return Interface(title, 1, load)


def _sense(form: Form, port: int, material: Material, clients: int) -> Interface:
    made = template(form, Case(*_CASE, clients), material)
    frame_load.check(port, made, material.manifest.tensors.steps)
    title = f"/v1/sense, {form.name}, {_CASE[0]} frames of {_CASE[1]} captures"
    return Interface(title, _CASE[0], partial(frame_load.run, port, made, clients))
