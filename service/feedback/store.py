"""Kept answers in Redis: a hash for each site and minute, so that a batch is kept by a command or two.

Memory is bounded by the time to live, and by a number of answers a site and minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from service.feedback.judging import KeptAnswer, Label
from service.feedback.packing import pack, pack_key, task_bits, unpack
from service.pipeline import Answer
from service.trajectory.connection import RedisConnection
from service.trajectory.script import Script

KEEP = Script.of("service.feedback", "keep.lua")
LABEL = Script.of("service.feedback", "label.lua")
BUCKET_S = 60
MAX_BUCKET = 60_000  # answers of a site in a minute, about 8 MB: 100 UEs at 10 Hz


class AnswerStore:
    """Answers by site, UE and timestamp. Every call is bounded in time by the connection."""

    def __init__(self, connection: RedisConnection, ttl_s: float) -> None:
        """Keep answers for `ttl_s` seconds at least, and a bucket longer at most."""
        self._connection = connection
        self._ttl_ms = round((ttl_s + BUCKET_S) * 1000)

    async def keep(self, answers: Sequence[Answer]) -> int:
        """Keep answers, in one round trip; how many there was room for. Raises `BufferUnavailable`."""
        buckets: dict[tuple[str, float], list[Answer]] = {}
        for answer in answers:
            buckets.setdefault((answer.site, answer.timestamp_s // BUCKET_S), []).append(answer)
        calls = [
            ([_key(*bucket)], (self._ttl_ms, MAX_BUCKET, pack(of_bucket))) for bucket, of_bucket in buckets.items()
        ]
        kept = await self._connection.run_script("keep", KEEP, calls)
        return sum(len(bucket) for bucket, whether in zip(buckets.values(), kept, strict=True) if whether)

    async def mark(self, labels: Sequence[Label]) -> list[KeptAnswer | None]:
        """The answer of each label as it was kept, None for an unknown frame, in one round trip.

        From now on the tasks of the label count as labelled. Raises `BufferUnavailable`.
        """
        calls = [
            (
                [_key(label.site, label.timestamp_s // BUCKET_S)],
                (pack_key(label.ue, label.timestamp_s), task_bits(label.tasks)),
            )
            for label in labels
        ]
        records = await self._connection.run_script("label", LABEL, calls)
        return [unpack(record) if isinstance(record, bytes) else None for record in records]


def _key(site: str, minute: float) -> str:
    return f"cellsense:answers:{quote(site, safe='', errors='surrogatepass')}:{minute:.0f}"
