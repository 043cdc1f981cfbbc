"""One exchange of a recording over HTTP: its frames to the gateway, and afterwards the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from service.demo.outcome import Outcome, Truth
from service.demo.recording import Exchange

REQUEST_TIMEOUT_S = 60.0


def post_frames(client: httpx.Client, exchange: Exchange, first_frame: int = 0) -> list[Outcome]:
    """Post the frames of an exchange, whose timestamps the gateway will take (`service.demo.recording.as_of`).

    Returns:
        One outcome per frame, in order, numbered from `first_frame`; a refused request is one with an error for each.

    Raises:
        httpx.HTTPError: no gateway answers.
    """
    response = client.post("/v1/sense", json=exchange.request)
    frames, results = exchange.request["frames"], _results(response, len(exchange.truth))
    return [
        Outcome.answered(first_frame + i, frame["site"], frame["ue"], truth, result)
        for i, (frame, truth, result) in enumerate(zip(frames, exchange.truth, results, strict=True))
    ]


def post_labels(client: httpx.Client, exchange: Exchange, outcomes: Sequence[Outcome]) -> int:
    """Post what was true of the frames that were answered, as a survey or a camera would tell it later.

    Returns:
        How many labels were taken.

    Raises:
        httpx.HTTPError: no gateway answers.
    """
    labels = [
        label
        for frame, outcome in zip(exchange.request["frames"], outcomes, strict=True)
        if outcome.error is None and (label := _label(frame, outcome.truth))
    ]
    if not labels:
        return 0
    response = client.post("/v1/labels", json={"labels": labels})
    return sum("error" not in result for result in _results(response, len(labels)))


def _label(frame: dict[str, Any], truth: Truth) -> dict[str, Any]:
    """The truth of a frame on the wire, empty where nothing is known of it."""
    known = {"position_enu_m": truth.position_enu_m, "line_of_sight": truth.los, "activity": truth.activity}
    told = {name: value for name, value in known.items() if value is not None}
    return {name: frame[name] for name in ("site", "ue", "timestamp_s")} | told if told else {}


def _results(response: httpx.Response, frames: int) -> list[dict[str, Any]]:
    """One result per frame: where the request was refused as a whole, its problem for each."""
    try:
        body = response.json()
    except ValueError:
        body = {"detail": f"expected JSON, got {response.status_code} {response.text[:80]!r}"}
    if response.is_success:
        return list(body["results"])
    problems = body.get("errors") or [body] * frames
    return [{"error": problem} for problem in problems]
