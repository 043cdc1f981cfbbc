"""Answers as bytes: 40 each, one after the other, so that a batch is one array here and one argument for Redis.

Little-endian. First the key: timestamp (float64, s), digest of the UE's name (8 bytes). Then the record: position and
ellipse (5 x float32), line of sight (1 byte), activity (1 byte, its row in `ACTIVITIES`), tasks that were answered and
tasks that were labelled (1 byte each, a bit a task in the order of `TASKS`). The scripts `keep.lua` and `label.lua`
know how long both are, and that the last byte is the labelled tasks.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Sequence

import numpy as np

from service.contract.labels import ACTIVITIES, TASKS
from service.feedback.judging import KeptAnswer
from service.pipeline import Answer

DIGEST_BYTES = 8
RECORD_FIELDS = [("position", "<f4", 5), ("los", "u1"), ("activity", "u1"), ("answered", "u1"), ("labelled", "u1")]
RECORD = np.dtype(RECORD_FIELDS)
ENTRY = np.dtype([("timestamp_s", "<f8"), ("ue", f"V{DIGEST_BYTES}"), *RECORD_FIELDS])

_BITS = {task: 1 << row for row, task in enumerate(TASKS)}
_ROW_OF = {activity: row for row, activity in enumerate(ACTIVITIES)}
_NOWHERE = (0.0,) * 5


def pack(answers: Sequence[Answer]) -> bytes:
    """Key and record of each answer; nothing is labelled yet."""
    entries = np.zeros(len(answers), ENTRY)
    entries["timestamp_s"] = [answer.timestamp_s for answer in answers]
    entries["ue"] = np.frombuffer(b"".join([_digest(answer.ue) for answer in answers]), entries["ue"].dtype)
    entries["position"] = [_position(answer) for answer in answers]
    entries["los"] = [answer.los is not None and answer.los.line_of_sight for answer in answers]
    entries["activity"] = [0 if answer.activity is None else _ROW_OF[answer.activity.label] for answer in answers]
    entries["answered"] = [_answered(answer) for answer in answers]
    return entries.tobytes()


def pack_key(ue: str, timestamp_s: float) -> bytes:
    """The key of one answer."""
    return struct.pack("<d", timestamp_s) + _digest(ue)


def unpack(record: bytes) -> KeptAnswer:
    """The answer of a record."""
    (fields,) = np.frombuffer(record, RECORD)
    answered = int(fields["answered"])
    east_m, north_m, semi_major_m, semi_minor_m, orientation_deg = fields["position"].tolist()
    return KeptAnswer(
        position=(
            (east_m, north_m, semi_major_m, semi_minor_m, orientation_deg) if answered & _BITS["position"] else None
        ),
        line_of_sight=bool(fields["los"]) if answered & _BITS["los"] else None,
        activity=ACTIVITIES[int(fields["activity"])] if answered & _BITS["activity"] else None,
        labelled=frozenset(task for task, bit in _BITS.items() if int(fields["labelled"]) & bit),
    )


def task_bits(tasks: Collection[str]) -> int:
    """Tasks as bits."""
    return sum(bit for task, bit in _BITS.items() if task in tasks)


def _digest(ue: str) -> bytes:
    return hashlib.blake2b(ue.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _position(answer: Answer) -> tuple[float, ...]:
    if answer.position is None:
        return _NOWHERE
    region = answer.position.region
    return (*answer.position.enu_m, region.semi_major_m, region.semi_minor_m, region.orientation_deg)


def _answered(answer: Answer) -> int:
    return (
        (answer.position is not None and _BITS["position"])
        | (answer.los is not None and _BITS["los"])
        | (answer.activity is not None and _BITS["activity"])
    )
