"""The OpenAPI document of the gateway, as JSON-ready values."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.api.documentation import SCHEMAS
from service.api.examples import (
    LABELS_REQUEST,
    LABELS_RESPONSE,
    PROBLEM,
    SENSE_REQUEST,
    SENSE_RESPONSE,
    TRAJECTORY_RESPONSE,
)
from service.api.oip import router as oip_router
from service.api.oip_schemas import InferRequest
from service.api.problems import CONTENT_TYPE
from service.api.routes import router
from service.api.schemas import LabelsRequest, Problem, SenseRequest

TITLE = "cellsense"
API_VERSION = "1.2.0"  # of the interface, not of the package
DESCRIPTION = (
    "The sensing brain of a base station: batches of channel state information, camera, radar and LiDAR go in; "
    "positions with honest uncertainty, line of sight and activity come out. Errors are RFC 9457 problems."
)
_SENSE, _LABELS = ("/v1/sense", "post"), ("/v1/labels", "post")
_TRAJECTORY = ("/v1/trajectories/{site}/{ue}", "get")


@cache
def specification() -> dict[str, Any]:
    """The document. It does not depend on settings or models.

    Requests and the problem are added by hand: the routes read bodies themselves, a frame at a time, so FastAPI does
    not see their schemas.
    """
    document = get_openapi(
        title=TITLE, version=API_VERSION, description=DESCRIPTION, routes=[*router.routes, *oip_router.routes]
    )
    _, definitions = models_json_schema(
        [
            (SenseRequest, "validation"),
            (LabelsRequest, "validation"),
            (InferRequest, "validation"),
            (Problem, "serialization"),
        ],
        ref_template=SCHEMAS + "{model}",
    )
    schemas = document["components"]["schemas"] | definitions["$defs"]
    sense, labels, trajectory = (document["paths"][path][method] for path, method in (_SENSE, _LABELS, _TRAJECTORY))
    # Here, for FastAPI would drop what is null in them.
    sense["requestBody"]["content"]["application/json"]["example"] = SENSE_REQUEST
    sense["responses"]["200"]["content"]["application/json"]["example"] = SENSE_RESPONSE
    sense["responses"]["422"]["content"][CONTENT_TYPE]["example"] = PROBLEM
    labels["requestBody"]["content"]["application/json"]["example"] = LABELS_REQUEST
    labels["responses"]["200"]["content"]["application/json"]["example"] = LABELS_RESPONSE
    trajectory["responses"]["200"]["content"]["application/json"]["example"] = TRAJECTORY_RESPONSE
    for unused in ("HTTPValidationError", "ValidationError"):  # what FastAPI would answer with, were it to validate
        del schemas[unused]
    for operation in (each for path in document["paths"].values() for each in path.values()):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
        if "parameters" in operation:  # one function serves a path with and without a version
            operation["parameters"] = [each for each in operation["parameters"] if each["in"] == "path"]
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document
