"""The endpoints. Each is a few lines: the work is done in `sense`, `pipeline` and `problems`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.api import documentation
from service.api.accounting import note_labels
from service.api.connection import while_connected
from service.api.gateway import Gateway
from service.api.labels import label_result, parse_labels
from service.api.media import JSON, request_form
from service.api.problems import all_failed_response
from service.api.sense import answer_sense, artifact_of
from service.contract.manifest import Manifest
from service.contract.sites import Site
from service.errors import CellsenseError

router = APIRouter()


@router.post("/v1/sense", **documentation.SENSE)
async def sense(request: Request) -> Response:
    """Answer a batch of sensing frames.

    A frame that does not fit fails alone, with a status and a problem of its own; the others are answered. Only where
    the envelope is broken, or where every frame failed, does the whole request fail.
    """
    return await answer_sense(_gateway(request), request.headers, request.receive)


@router.post("/v1/labels", **documentation.LABELS)
async def labels(request: Request) -> Response:
    """Compare answers with what turned out to be true, for the metrics of this service.

    Answers are kept for some minutes. A label belongs to the frame with the same site, UE and timestamp; what is known
    of it may come in several labels, each truth counts once. A label must not follow its answer within milliseconds.
    """
    gateway = _gateway(request)
    request_form(request.headers, JSON)
    async with gateway.bodies.body_of(request) as body:
        entries = await asyncio.get_running_loop().run_in_executor(
            gateway.parsers, parse_labels, body, gateway.settings.max_batch_frames, gateway.pipeline.sites
        )
    verdicts = await gateway.feedback.label(entries)
    note_labels(verdicts)
    errors = [verdict for verdict in verdicts if isinstance(verdict, CellsenseError)]
    if len(errors) == len(verdicts):
        return all_failed_response(errors)
    return JSON.response({"results": [label_result(index, verdict) for index, verdict in enumerate(verdicts)]})


@router.get("/v1/trajectories/{site}/{ue:path}", **documentation.TRAJECTORY)
async def trajectory(request: Request, site: str, ue: str) -> Response:
    """The buffered trajectory of a UE: every vertex from the frames up to it, and, where the model can, from all."""
    gateway = _gateway(request)
    deadline_s = time.monotonic() + gateway.settings.deadline_s
    found = await while_connected(request.receive, gateway.pipeline.trajectory(site, ue, deadline_s))
    return JSON.response({"site": site, "ue": ue, "vertices": found.vertices, "path": found.path})


@router.get("/v1/sites", **documentation.SITES)
async def sites(request: Request) -> Response:
    """The sites that are served: their sensors, their tasks, and the model that answers them."""
    pipeline = _gateway(request).pipeline
    return JSON.response({"sites": [_site(s, pipeline.manifest(name)) for name, s in sorted(pipeline.sites.items())]})


@router.get("/healthz", **documentation.HEALTHZ)
async def healthz() -> Response:
    """Whether the process lives. Never waits for inference."""
    return JSON.response({"status": "live"})


@router.get("/readyz", **documentation.READYZ)
async def readyz(request: Request) -> Response:
    """Whether every model is warm, so that frames are answered."""
    gateway = _gateway(request)
    gateway.pipeline.require_available()
    reachable = await gateway.redis.reachable()
    return JSON.response({"status": "ready", "buffer": "reachable" if reachable else "unreachable"})


@router.get("/metrics", **documentation.METRICS)
async def metrics(request: Request) -> Response:
    """Metrics in the text format of Prometheus."""
    gateway = _gateway(request)
    text = await asyncio.to_thread(gateway.metrics.render)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _site(site: Site, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": site.name,
        "origin_wgs84": site.origin_wgs84,
        "boresight_deg": site.boresight_deg,
        "mast_height_m": site.mast_height_m,
        "range_max_m": site.range_max_m,
        "carrier_hz": site.carrier_hz,
        "carriers_hz": site.carriers,
        "bandwidth_hz": site.bandwidth_hz,
        "array": None if site.array_rows is None else (site.array_rows, site.array_cols),
        "tasks": site.tasks,
        "artifact": artifact_of(manifest),
    }


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
