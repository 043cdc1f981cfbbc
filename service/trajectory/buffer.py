"""The trajectory buffer: the last vertices of every UE in Redis, appended and read in one round trip a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from service.contract.tensors import TRAJECTORY_LEN
from service.errors import BufferUnavailable, TimestampConflict
from service.trajectory.connection import RedisConnection
from service.trajectory.packing import RECORD, pack, unpack
from service.trajectory.script import Script
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex

APPEND = Script.of("service.trajectory", "append.lua")
MAX_KEYS = 256  # of one run of the script, for which every other client of the server waits
_HEAD = np.dtype([("verdict", "S1"), ("records", "<u4")])

Answer = Trajectory | TimestampConflict


@dataclass(frozen=True, eq=False)
class _Waiting:
    """Vertices on their way to Redis."""

    keys: Sequence[TrajectoryKey]
    vertices: Sequence[Vertex]
    records: bytes
    answers: asyncio.Future[list[Answer]]


class TrajectoryBuffer:
    """Trajectories in a Redis server. Every call is bounded in time by the connection. Belongs to one event loop."""

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
        self._waiting: dict[int, list[_Waiting]] = {}  # by the length of the trajectories
        self._trips: set[asyncio.Task[None]] = set()

    async def append_and_read(
        self, keys: Sequence[TrajectoryKey], vertices: Sequence[Vertex], length: int = TRAJECTORY_LEN
    ) -> list[Answer]:
        """Append a vertex to each trajectory; answer with the trajectories up to and including them.

        Each vertex is judged and appended atomically, in the order of the batch, and the whole batch takes one round
        trip, together with the other batches of this turn of the event loop. A vertex that is already there is not
        appended again: a batch can be sent again after a failure.

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
        loop = asyncio.get_running_loop()
        # A run of a model answers many requests in one turn of the loop. At a frame each, a round trip for every one
        # of them would take as long as the model.
        if not self._waiting:
            loop.call_soon(self._depart)
        waiting = _Waiting(keys, vertices, pack(vertices), loop.create_future())
        self._waiting.setdefault(length, []).append(waiting)
        return await waiting.answers

    async def read(self, key: TrajectoryKey) -> Trajectory:
        """The trajectory as it is buffered, without vertices for an unknown UE. Raises `BufferUnavailable`."""
        stored = await self._connection.bounded("read", self._get(key))
        return unpack(stored or b"")

    async def _get(self, key: TrajectoryKey) -> bytes | None:
        return cast(bytes | None, await self._connection.client.get(key.redis_key()))

    def _depart(self) -> None:
        """Send all that waits on its way."""
        together, self._waiting = self._waiting, {}
        for length, batches in together.items():
            trip = asyncio.get_running_loop().create_task(self._travel(batches, length))
            self._trips.add(trip)
            trip.add_done_callback(self._trips.discard)

    async def _travel(self, batches: Sequence[_Waiting], length: int) -> None:
        keys = [key.redis_key() for batch in batches for key in batch.keys]
        records = b"".join([batch.records for batch in batches])
        options = (length, self._ttl_ms, self._late_tolerance_s)
        runs = [
            (
                keys[first : first + MAX_KEYS],
                (records[first * RECORD.itemsize : (first + MAX_KEYS) * RECORD.itemsize], *options),
            )
            for first in range(0, len(keys), MAX_KEYS)
        ]
        try:
            replies = await self._connection.run_script("append", APPEND, runs)
        except BaseException as error:
            for batch in batches:
                if not batch.answers.done():  # it may have been cancelled
                    # One each: an exception that is raised in several places gathers all of their tracebacks.
                    unavailable = BufferUnavailable(str(error))
                    unavailable.__cause__ = error
                    batch.answers.set_exception(unavailable)
            if not isinstance(error, BufferUnavailable):
                raise
            return
        answers = _answers(cast(list[tuple[bytes, bytes]], replies))
        for batch in batches:
            judged = [self._judge(next(answers), *one) for one in zip(batch.keys, batch.vertices, strict=True)]
            if not batch.answers.done():
                batch.answers.set_result(judged)

    def _judge(self, answer: tuple[bytes, Trajectory], key: TrajectoryKey, vertex: Vertex) -> Answer:
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
