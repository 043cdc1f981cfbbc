"""The answer to a batch of sensing frames, whichever way the request came.

Calls of the plain kind do not come to `answer_sense` but are answered straight from their connection:
`service.api.sense_calls`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive

from service.api.accounting import count_frames
from service.api.connection import while_connected
from service.api.gateway import Gateway
from service.api.media import JSON, MESSAGEPACK, Form, answer_form, request_form
from service.api.parsing import parse_batch
from service.api.problems import HttpProblem, all_failed_response, problem
from service.contract.manifest import Manifest
from service.errors import CellsenseError
from service.pipeline import Answer, Batch

ROUTE = "/v1/sense"
_ANSWER_FIELDS = tuple(field.name for field in fields(Answer))


async def answer_sense(gateway: Gateway, headers: Headers, receive: Receive) -> Response:
    """Answer a request.

    Args:
        gateway: that answers.
        headers: of the request.
        receive: where its body comes from.

    Raises:
        HttpProblem, CellsenseError: the request fails whole, but not because all of its frames do.
    """
    gateway.pipeline.require_available()
    form = request_form(headers, JSON, MESSAGEPACK)
    async with gateway.bodies.body(headers.get("content-length", ""), receive) as body:
        deadline_s = time.monotonic() + gateway.settings.deadline_s
        batch = await _parse(gateway, form, body)
        try:
            outcomes = await while_connected(receive, gateway.pipeline.sense(batch, deadline_s))
        except HttpProblem as gone:
            account_for(gateway, batch, [gone] * len(batch.frames))
            raise
    account_for(gateway, batch, outcomes)
    return sense_response(gateway, outcomes, answer_form(headers, form))


def account_for(gateway: Gateway, batch: Batch, outcomes: Sequence[Answer | Exception]) -> None:
    """Count what became of the frames of a request, and keep the answers for labels that come later."""
    count_frames(gateway.metrics.traffic, gateway.pipeline.sites, batch.frames, outcomes)
    gateway.feedback.keep([outcome for outcome in outcomes if isinstance(outcome, Answer)])


def sense_response(gateway: Gateway, outcomes: Sequence[Answer | CellsenseError], form: Form) -> Response:
    """The answer to a batch; the problem of its first frame where all failed."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, CellsenseError)]
    if len(errors) == len(outcomes):
        return all_failed_response(errors)
    with gateway.stages.stage("serialise"):
        sites = {outcome.site for outcome in outcomes if isinstance(outcome, Answer)}
        return form.response(
            {
                "artifact": {site: artifact_of(gateway.pipeline.manifest(site)) for site in sorted(sites)},
                "results": [_result(index, outcome) for index, outcome in enumerate(outcomes)],
            }
        )


def artifact_of(manifest: Manifest) -> dict[str, str]:
    """What is said of the model that answers."""
    return {"name": manifest.name, "version": manifest.version}


async def _parse(gateway: Gateway, form: Form, body: bytes | bytearray) -> Batch:
    settings = gateway.settings
    with gateway.stages.stage("parse"):
        if len(body) <= form.at_once_bytes:
            return parse_batch(form, body, settings.max_batch_frames, settings.max_batch_scenes)
        return await asyncio.get_running_loop().run_in_executor(
            gateway.parsers, parse_batch, form, body, settings.max_batch_frames, settings.max_batch_scenes
        )


def _result(index: int, outcome: Answer | CellsenseError) -> dict[str, Any]:
    if isinstance(outcome, Answer):
        return {"index": index, "status": 200, **{name: getattr(outcome, name) for name in _ANSWER_FIELDS}}
    members = problem(outcome, index)
    return {"index": index, "status": members["status"], "error": members}
