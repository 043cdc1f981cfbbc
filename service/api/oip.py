"""The Open Inference Protocol v2 over HTTP: every call but infer, which is in `service.api.infer`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import documentation
from service.api.gateway import Gateway
from service.api.infer import answer_infer
from service.api.media import JSON
from service.api.reading import shown
from service.errors import InvalidInput
from service.oip import documents
from service.runner.catalogue import Catalogue

router = APIRouter(prefix="/v2", tags=["open inference protocol"])


@router.get("", **documentation.OIP_SERVER)
@router.get("/", include_in_schema=False)
async def server_metadata() -> Response:
    """Name and version of the server, and the extensions of the protocol that it offers."""
    return JSON.response(documents.server_metadata())


@router.get("/health/live", **documentation.OIP_LIVE)
async def live() -> Response:
    """Whether the process lives. Never waits for inference."""
    return Response()


@router.get("/health/ready", **documentation.OIP_READY)
async def ready(request: Request) -> Response:
    """Whether every model that was loaded at start is warm."""
    _gateway(request).pipeline.require_available()
    return Response()


@router.get("/models/stats", **documentation.OIP_ALL_STATISTICS)
async def all_statistics(request: Request) -> Response:
    """What every model that is ready has done since it was loaded."""
    return JSON.response(await documents.statistics(_repository(request).ready()))


@router.get("/models/{model}", **documentation.OIP_MODEL)
@router.get("/models/{model}/versions/{version}", **documentation.OIP_MODEL_VERSION)
async def model_metadata(request: Request, model: str, version: str = "") -> Response:
    """Inputs and outputs of a model: a graph of an artifact."""
    return JSON.response(documents.model_metadata(_repository(request).runner(model, version)))


@router.get("/models/{model}/ready", **documentation.OIP_MODEL_READY)
@router.get("/models/{model}/versions/{version}/ready", **documentation.OIP_MODEL_VERSION_READY)
async def model_ready(request: Request, model: str, version: str = "") -> Response:
    """Whether a model is loaded and warm."""
    _repository(request).runner(model, version)
    return Response()


@router.get("/models/{model}/config", **documentation.OIP_CONFIG)
@router.get("/models/{model}/versions/{version}/config", **documentation.OIP_VERSION_CONFIG)
async def model_config(request: Request, model: str, version: str = "") -> Response:
    """The same as a configuration, as clients of Triton read it."""
    return JSON.response(documents.model_config(_repository(request).runner(model, version)))


@router.get("/models/{model}/stats", **documentation.OIP_STATISTICS)
@router.get("/models/{model}/versions/{version}/stats", **documentation.OIP_VERSION_STATISTICS)
async def model_statistics(request: Request, model: str, version: str = "") -> Response:
    """What a model has done since it was loaded."""
    return JSON.response(await documents.statistics([_repository(request).runner(model, version)]))


@router.post("/models/{model}/infer", **documentation.OIP_INFER)
@router.post("/models/{model}/versions/{version}/infer", **documentation.OIP_VERSION_INFER)
async def infer(request: Request, model: str, version: str = "") -> Response:
    """Run a model on tensors, in JSON or, by the binary tensor data extension, as their bytes.

    Requests of any callers are run together where all tensors have rows.
    """
    return await answer_infer(_gateway(request), model, version, request.scope["headers"], request.receive)


@router.post("/repository/index", **documentation.OIP_INDEX)
async def index(request: Request) -> Response:
    """Every model in the repository and its state; with `{"ready": true}`, those that are ready."""
    async with _gateway(request).bodies.body_of(request) as body:
        asked = JSON.load(body) if body else {}
    if not isinstance(asked, dict):
        raise InvalidInput("body", "a JSON object, or nothing", shown(asked))
    models = [m for m in _repository(request).index() if m.state == "READY" or asked.get("ready") is not True]
    return JSON.response(documents.index(models))


@router.post("/repository/models/{model}/load", **documentation.OIP_LOAD)
async def load(request: Request, model: str) -> Response:
    """Load the artifact of a model from the repository, anew where it is loaded already.

    What is served stays so until the new one is warm, and if that does not fit. An artifact by which frames are
    answered is never replaced while the service runs.
    """
    _gateway(request).require_control()
    await _repository(request).load(model)
    return Response()


@router.post("/repository/models/{model}/unload", **documentation.OIP_UNLOAD)
async def unload(request: Request, model: str) -> Response:
    """Serve the artifact of a model no more under this protocol; what waits for it is answered first."""
    _gateway(request).require_control()
    await _repository(request).unload(model)
    return Response()


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _repository(request: Request) -> Catalogue[Any]:
    return _gateway(request).repository
