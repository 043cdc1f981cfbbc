"""The trajectory buffer: the last vertices of every UE in Redis, appended and read in one round trip a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from service.contract.tensors import TRAJECTORY_LEN
from service.errors import TimestampConflict
from service.trajectory.connection import RedisConnection
from service.trajectory.packing import RECORD, pack, unpack
from service.trajectory.script import Script
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex

APPEND = Script.of("service.trajectory", "append.lua")
MAX_KEYS = 256  # of one run of the script, for which every other client of the server waits
_HEAD = np.dtype([("verdict", "S1"), ("records", "<u4")])


class TrajectoryBuffer:
    """Trajectories in a Redis server. Every call is bounded in time by the connection."""

    def __init__(self, connection: RedisConnection, *, ttl_s: float = 60.0, late_tolerance_s: float = 0.0) -> None:
        """Keep trajectories behind a connection, which its owner starts and closes.

        Args:
            connection: to the server.
            ttl_s: seconds after its last vertex when a trajectory is forgotten.
            late_tolerance_s: how much older than the newest vertex a new one may be.
        """
        self._connection = connection
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._late_tolerance_s = late_tolerance_s

    async def append_and_read(
        self, keys: Sequence[TrajectoryKey], vertices: Sequence[Vertex], length: int = TRAJECTORY_LEN
    ) -> list[Trajectory | TimestampConflict]:
        """Append a vertex to each trajectory; answer with the trajectories up to and including them.

        Each vertex is judged and appended atomically, in the order of the batch, and the whole batch takes one round
        trip. A vertex that is already there is not appended again: a batch can be sent again after a failure.

        Args:
            keys: whose vertex each is.
            vertices: to append.
            length: vertices kept of a trajectory.

        Returns:
            For each vertex its trajectory, of at most `length` vertices; or a conflict in `timestamp_s`, and nothing
            was changed: the timestamp is taken by other content, or too old.

        Raises:
            BufferUnavailable: the server cannot be reached, or refuses.
            ValueError: a vertex cannot be kept, see `pack`.
        """
        if len(keys) != len(vertices):
            raise ValueError(f"vertices: expected {len(keys)}, one a key, got {len(vertices)}")
        if not keys:
            return []
        records, options = pack(vertices), (length, self._ttl_ms, self._late_tolerance_s)
        calls = [
            (
                [key.redis_key() for key in keys[first : first + MAX_KEYS]],
                (records[first * RECORD.itemsize : (first + MAX_KEYS) * RECORD.itemsize], *options),
            )
            for first in range(0, len(keys), MAX_KEYS)
        ]
        replies = cast(list[tuple[bytes, bytes]], await self._connection.run_script("append", APPEND, calls))
        return [self._judge(*one) for one in zip(_answers(replies), keys, vertices, strict=True)]

    async def read(self, key: TrajectoryKey) -> Trajectory:
        """The trajectory as it is buffered, without vertices for an unknown UE. Raises `BufferUnavailable`."""
        stored = await self._connection.bounded("read", self._get(key))
        return unpack(stored or b"")

    async def _get(self, key: TrajectoryKey) -> bytes | None:
        return cast(bytes | None, await self._connection.client.get(key.redis_key()))

    def _judge(
        self, answer: tuple[bytes, Trajectory], key: TrajectoryKey, vertex: Vertex
    ) -> Trajectory | TimestampConflict:
        """The answer of `append.lua` to one vertex in our words."""
        verdict, trajectory = answer
        if verdict == b"A":
            return trajectory
        who = f"UE {key.ue!r} at site {key.site!r}"
        if verdict == b"D":
            expected = f"a timestamp not used before by {who}, or exactly the same frame again"
            return TimestampConflict("timestamp_s", expected, f"{vertex.timestamp_s!r} duplicated with other content")
        newest_s = float(trajectory.timestamps_s[-1])
        late = f" or up to {self._late_tolerance_s:g} s before it" if self._late_tolerance_s else ""
        expected = f"a timestamp after {newest_s!r}{late}, the newest of {who}"
        return TimestampConflict("timestamp_s", expected, f"{vertex.timestamp_s!r}, out of order")


def _answers(replies: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, Trajectory]]:
    """The letter and the records of each vertex, of all runs of the script."""
    for heads, records in replies:
        found, everything, start = np.frombuffer(heads, _HEAD), unpack(records), 0
        for verdict, count in zip(found["verdict"].tolist(), found["records"].tolist(), strict=True):
            yield verdict, everything.between(start, start + count)
            start += count
