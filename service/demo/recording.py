"""Recordings: sensing requests with the truth beside them, as gzip-compressed JSON lines.

Each line is `{"request": ..., "truth": [...]}`: the body of a `POST /v1/sense`, whose timestamps count from any origin,
and for each of its frames what is known to be true (`service.demo.outcome.Truth`).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.demo.outcome import Truth

SAMPLES = "sample*.jsonl.gz"  # what an artifact calls the recordings that it ships


@dataclass(frozen=True)
class Exchange:
    """One line of a recording."""

    request: dict[str, Any]
    truth: tuple[Truth, ...]  # one per frame of the request


def read_recording(path: Path) -> list[Exchange]:
    """All lines of a recording, in order. Raises `ValueError` that names the file, and the line that does not fit."""
    exchanges: list[Exchange] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            exchanges.extend(_exchange(line) for line in lines)
    except (OSError, EOFError, zlib.error, AttributeError, LookupError, TypeError, ValueError) as error:
        where = f"{path}, line {len(exchanges) + 1}"
        raise ValueError(f"{where}: expected a request and its truth as gzip JSON lines, got {error!r}") from error
    if not exchanges:
        raise ValueError(f"{path}: expected a request and its truth as gzip JSON lines, got an empty file")
    return exchanges


def shipped_samples(models: Path) -> list[Path]:
    """The recordings `*/sample*.jsonl.gz` of the artifacts in `models`, by name. Raises `ValueError` without any."""
    paths = sorted(models.glob(f"*/{SAMPLES}"))
    if not paths:
        raise ValueError(
            f"{models}: expected an artifact with a {SAMPLES}, got none; name another folder with --models"
        )
    return paths


def as_of(exchanges: Sequence[Exchange], now_s: float, ue_suffix: str = "") -> list[Exchange]:
    """The same exchanges as if they happened just now.

    Args:
        exchanges: a recording.
        now_s: Unix time that the newest frame shall have; all others keep their distance to it.
        ue_suffix: appended to every UE's name, so that replays of one recording do not share trajectories.
    """
    shift_s = now_s - max(frame["timestamp_s"] for e in exchanges for frame in e.request["frames"])
    return [
        Exchange(
            e.request
            | {
                "frames": [
                    f | {"timestamp_s": f["timestamp_s"] + shift_s, "ue": f["ue"] + ue_suffix}
                    for f in e.request["frames"]
                ]
            },
            e.truth,
        )
        for e in exchanges
    ]


def _exchange(line: str) -> Exchange:
    data = json.loads(line)
    frames, truth = data["request"]["frames"], tuple(Truth.from_json(t) for t in data["truth"])
    if len(frames) != len(truth) or not frames:
        raise ValueError(f"{len(frames)} frames and {len(truth)} truths")
    return Exchange(data["request"], truth)
