"""What the OpenAPI file says of each endpoint."""

from __future__ import annotations

import inspect
from typing import Any

from starlette.responses import Response

from service.api.media import MESSAGEPACK_TYPE
from service.api.oip_schemas import (
    InferRequest,
    InferResponse,
    ModelConfig,
    ModelMetadata,
    ModelStatistics,
    RepositoryIndex,
    ServerMetadata,
)
from service.api.problems import CONTENT_TYPE
from service.api.schemas import (
    Health,
    LabelsRequest,
    LabelsResponse,
    Problem,
    SenseRequest,
    SenseResponse,
    SitesResponse,
    TrajectoryResponse,
)

SCHEMAS = "#/components/schemas/"
_WHEN = {
    400: "The body is not JSON; or, by the Open Inference Protocol, a model is not ready or does not fit.",
    404: "Unknown site, scene, UE, frame or model.",
    408: "The body did not arrive in time.",
    409: "A timestamp is duplicated with other content, out of order, or in the future.",
    413: "A body or a batch over its limit.",
    415: "The body is not of a media type or an encoding that is read.",
    422: "The request does not fit: the problem names the field, what was expected and what came.",
    500: "Inference failed.",
    503: "Not ready, overloaded or shutting down: try again after `Retry-After` seconds.",
    504: "No answer before the deadline.",
}


def _responses(model: type, *statuses: int) -> dict[str, Any]:
    ok = {"model": model, "description": inspect.getdoc(model)}
    return {"responses": {200: ok, **{status: _problem(status) for status in statuses}}}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": f"{SCHEMAS}{Problem.__name__}"}
    return {"description": _WHEN[status], "content": {CONTENT_TYPE: {"schema": schema}}}


def _request(model: type) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"{SCHEMAS}{model.__name__}"}}}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


SENSE: dict[str, Any] = {
    "operation_id": "sense",
    "summary": "Answer a batch of sensing frames",
    **_responses(SenseResponse, 400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    "tags": ["sensing"],
    **_request(SenseRequest),
}
SENSE["openapi_extra"]["requestBody"]["content"][MESSAGEPACK_TYPE] = {
    "schema": {
        "$ref": f"{SCHEMAS}{SenseRequest.__name__}",
        "description": "The same document in MessagePack, where what is base64 in JSON is raw bytes (`bin`).",
    }
}
SENSE["responses"][200]["content"] = {
    MESSAGEPACK_TYPE: {
        "schema": {
            "$ref": f"{SCHEMAS}{SenseResponse.__name__}",
            "description": "The same document in MessagePack: where the request was, unless `Accept` asks for JSON.",
        }
    }
}
LABELS: dict[str, Any] = {
    "operation_id": "labels",
    "summary": "Say what was true",
    **_responses(LabelsResponse, 400, 404, 408, 413, 415, 422, 500, 503),
    "tags": ["sensing"],
    **_request(LabelsRequest),
}
TRAJECTORY: dict[str, Any] = {
    "operation_id": "trajectory",
    "summary": "Where a UE has been",
    **_responses(TrajectoryResponse, 404, 500, 503, 504),
    "tags": ["sensing"],
}
SITES: dict[str, Any] = {
    **_responses(SitesResponse),
    "operation_id": "sites",
    "summary": "What is served",
    "tags": ["sensing"],
}
HEALTHZ: dict[str, Any] = {
    **_responses(Health),
    "operation_id": "healthz",
    "summary": "Whether the process lives",
    "tags": ["operation"],
}
READYZ: dict[str, Any] = {
    **_responses(Health, 503),
    "operation_id": "readyz",
    "summary": "Whether frames are answered",
    "tags": ["operation"],
}
METRICS: dict[str, Any] = {
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    "operation_id": "metrics",
    "summary": "Metrics for Prometheus",
    "tags": ["operation"],
}


def _oip(operation: str, summary: str, model: type | None, *statuses: int) -> dict[str, Any]:
    ok = {"description": "Yes; without a body."} if model is None else _responses(model)["responses"][200]
    responses = {200: ok, **{status: _problem(status) for status in statuses}}
    empty = {} if model else {"response_class": Response}
    return {"operation_id": operation, "summary": summary, "responses": responses, **empty}


def _with_version(of: dict[str, Any]) -> dict[str, Any]:
    return {**of, "operation_id": of["operation_id"] + "_version", "summary": of["summary"] + ", by version"}


_BINARY = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "The JSON document, and after it the bytes of the tensors in its order. The header "
        "`Inference-Header-Content-Length` says how long the document is.",
    },
}
_INFER = {
    **_oip("oip_infer", "Run a model", InferResponse, 400, 404, 408, 413, 415, 422, 503, 504),
    **_request(InferRequest),
}
_INFER["openapi_extra"]["requestBody"]["content"]["application/octet-stream"] = _BINARY
_INFER["responses"][200]["content"] = {"application/octet-stream": _BINARY}

OIP_SERVER = _oip("oip_server", "What the server is", ServerMetadata)
OIP_LIVE = _oip("oip_live", "Whether the process lives", None)
OIP_READY = _oip("oip_ready", "Whether the models are warm", None, 503)
OIP_MODEL = _oip("oip_model", "What a model takes and gives", ModelMetadata, 400, 404)
OIP_MODEL_VERSION = _with_version(OIP_MODEL)
OIP_MODEL_READY = _oip("oip_model_ready", "Whether a model is ready", None, 400, 404)
OIP_MODEL_VERSION_READY = _with_version(OIP_MODEL_READY)
OIP_CONFIG = _oip("oip_config", "The configuration of a model", ModelConfig, 400, 404)
OIP_VERSION_CONFIG = _with_version(OIP_CONFIG)
OIP_STATISTICS = _oip("oip_statistics", "What a model has done", ModelStatistics, 400, 404)
OIP_VERSION_STATISTICS = _with_version(OIP_STATISTICS)
OIP_ALL_STATISTICS = _oip("oip_all_statistics", "What all models have done", ModelStatistics)
OIP_INFER = _INFER
OIP_VERSION_INFER = _with_version(_INFER)
OIP_INDEX = _oip("oip_index", "Which models there are", RepositoryIndex, 422)
OIP_LOAD = _oip("oip_load", "Load a model", None, 400, 404)
OIP_UNLOAD = _oip("oip_unload", "Unload a model", None, 400, 404)
