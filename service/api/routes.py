"""The endpoints. Each is a few lines: the work is done in `parsing`, `pipeline` and `problems`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.api import documentation
from service.api.accounting import count_frames, note_labels
from service.api.connection import while_connected
from service.api.gateway import Gateway
from service.api.labels import label_result, parse_labels
from service.api.media import JSON, MESSAGEPACK, Form, answer_form, request_form
from service.api.parsing import parse_batch
from service.api.problems import HttpProblem, all_failed_response, problem
from service.contract.manifest import Manifest
from service.contract.sites import Site
from service.errors import CellsenseError
from service.pipeline import Answer

router = APIRouter()

_ANSWER_FIELDS = tuple(field.name for field in fields(Answer))


@router.post("/v1/sense", **documentation.SENSE)
async def sense(request: Request) -> Response:
    """Answer a batch of sensing frames.

    A frame that does not fit fails alone, with a status and a problem of its own; the others are answered. Only where
    the envelope is broken, or where every frame failed, does the whole request fail.
    """
    gateway = _gateway(request)
    gateway.pipeline.require_available()
    settings, loop = gateway.settings, asyncio.get_running_loop()
    form = request_form(request.headers, JSON, MESSAGEPACK)
    async with gateway.bodies.body_of(request) as body:
        deadline_s = time.monotonic() + settings.deadline_s
        with gateway.stages.stage("parse"):
            batch = await loop.run_in_executor(
                gateway.parsers, parse_batch, form, body, settings.max_batch_frames, settings.max_batch_scenes
            )
        try:
            outcomes = await while_connected(request.receive, gateway.pipeline.sense(batch, deadline_s))
        except HttpProblem as gone:
            count_frames(gateway.metrics.traffic, gateway.pipeline.sites, batch.frames, [gone] * len(batch.frames))
            raise
    count_frames(gateway.metrics.traffic, gateway.pipeline.sites, batch.frames, outcomes)
    gateway.feedback.keep([outcome for outcome in outcomes if isinstance(outcome, Answer)])
    return sense_response(gateway, outcomes, answer_form(request.headers, form))


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


def sense_response(gateway: Gateway, outcomes: Sequence[Answer | CellsenseError], form: Form) -> Response:
    """The answer to a batch; the problem of its first frame where all failed."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, CellsenseError)]
    if len(errors) == len(outcomes):
        return all_failed_response(errors)
    with gateway.stages.stage("serialise"):
        sites = {outcome.site for outcome in outcomes if isinstance(outcome, Answer)}
        return form.response(
            {
                "artifact": {site: _artifact(gateway.pipeline.manifest(site)) for site in sorted(sites)},
                "results": [_result(index, outcome) for index, outcome in enumerate(outcomes)],
            }
        )


def _result(index: int, outcome: Answer | CellsenseError) -> dict[str, Any]:
    if isinstance(outcome, Answer):
        return {"index": index, "status": 200, **{name: getattr(outcome, name) for name in _ANSWER_FIELDS}}
    members = problem(outcome, index)
    return {"index": index, "status": members["status"], "error": members}


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
        "artifact": _artifact(manifest),
    }


def _artifact(manifest: Manifest) -> dict[str, str]:
    return {"name": manifest.name, "version": manifest.version}


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
