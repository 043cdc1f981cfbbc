"""A load generator that counts for itself what it was answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.service.api.requests import channel, tensor

Json = dict[str, Any]


@dataclass
class Tally:
    """What came back: frames by status, requests by status, and requests that no answer came to."""

    frames: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    lost: int = 0


async def load(url: str, name: str, callers: int = 6, requests: int = 8) -> Tally:
    """Post from several callers at once, some of the frames bad, each caller on connections of its own."""
    tally = Tally()
    await asyncio.gather(*(_call(url, f"{name}-{caller}", requests, tally) for caller in range(callers)))
    return tally


async def _call(url: str, name: str, requests: int, tally: Tally) -> None:
    for turn in range(requests):
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:  # a new one may reach another process
            try:
                response = await client.post("/v1/sense", json={"frames": _frames(name, turn)})
            except httpx.TransportError:
                tally.lost += 1
                continue
        tally.requests[str(response.status_code)] += 1
        body = response.json()
        tally.frames.update(str(result["status"]) for result in body.get("results") or body["errors"])


def _frames(name: str, turn: int) -> list[Json]:
    good = {"site": "munich", "timestamp_s": time.time(), "csi": tensor(channel(turn))}
    frames: list[Json] = [{**good, "ue": f"{name}-{i}"} for i in range(1 + turn % 3)]
    if turn % 2:
        frames.append({**good, "ue": "bad", "site": "atlantis"})
    if turn % 4 == 3:
        frames.append({"site": "munich"})
    return frames
