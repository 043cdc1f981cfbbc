"""What the OpenAPI file says of each endpoint."""

from __future__ import annotations

import inspect
from typing import Any

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
    400: "The body is not JSON.",
    404: "Unknown site, scene, UE or frame.",
    408: "The body did not arrive in time.",
    409: "A timestamp is duplicated with other content, out of order, or in the future.",
    413: "A body or a batch over its limit.",
    415: "The body is not `application/json`.",
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
