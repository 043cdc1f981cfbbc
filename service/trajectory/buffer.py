"""The trajectory buffer: the last vertices of every UE in Redis, appended and read in one round trip a batch."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import cast

from service.contract.tensors import TRAJECTORY_LEN
from service.errors import TimestampConflict
from service.trajectory.connection import RedisConnection
from service.trajectory.packing import pack, unpack
from service.trajectory.script import Script
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex

APPEND = Script.of("service.trajectory", "append.lua")


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
        """
        records = pack(vertices) if vertices else []
        options = (length, self._ttl_ms, self._late_tolerance_s)
        calls = [(key.redis_key(), (record, *options)) for key, record in zip(keys, records, strict=True)]
        replies = await self._connection.run_script("append", APPEND, calls)
        return [
            _judge(cast(bytes, reply), key, vertex, self._late_tolerance_s)
            for reply, key, vertex in zip(replies, keys, vertices, strict=True)
        ]

    async def read(self, key: TrajectoryKey) -> Trajectory:
        """The trajectory as it is buffered, without vertices for an unknown UE. Raises `BufferUnavailable`."""
        stored = await self._connection.bounded("read", self._get(key))
        return unpack(stored or b"")

    async def _get(self, key: TrajectoryKey) -> bytes | None:
        return cast(bytes | None, await self._connection.client.get(key.redis_key()))


def _judge(reply: bytes, key: TrajectoryKey, vertex: Vertex, tolerance_s: float) -> Trajectory | TimestampConflict:
    """The answer of `append.lua` in our words."""
    verdict, rest = reply[:1], reply[1:]
    if verdict == b"A":
        return unpack(rest)
    who = f"UE {key.ue!r} at site {key.site!r}"
    if verdict == b"D":
        expected = f"a timestamp not used before by {who}, or exactly the same frame again"
        return TimestampConflict("timestamp_s", expected, f"{vertex.timestamp_s!r} duplicated with other content")
    (newest_s,) = struct.unpack("<d", rest)
    late = f" or up to {tolerance_s:g} s before it" if tolerance_s else ""
    expected = f"a timestamp after {newest_s!r}{late}, the newest of {who}"
    return TimestampConflict("timestamp_s", expected, f"{vertex.timestamp_s!r}, out of order")
