"""The trajectory buffer: the last vertices of every UE in Redis, appended and read in one round trip a batch."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from service.errors import BufferUnavailable, TimestampConflict
from service.trajectory.embedded import EmbeddedRedis
from service.trajectory.packing import pack, unpack
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex

EMBEDDED_URL = "embedded://"
SCHEMES = ("embedded", "redis", "rediss", "unix")
APPEND = files("service.trajectory").joinpath("append.lua").read_text()
APPEND_SHA = hashlib.sha1(APPEND.encode(), usedforsecurity=False).hexdigest()

T = TypeVar("T")


class TrajectoryBuffer:
    """Trajectories in a Redis server: one that exists, or an embedded one that lives as long as the buffer.

    Belongs to one event loop. Every call is bounded in time, connecting included.
    """

    def __init__(
        self,
        url: str,
        *,
        length: int = 8,
        ttl_s: float = 60.0,
        late_tolerance_s: float = 0.0,
        max_connections: int = 16,
        timeout_s: float = 0.5,
    ) -> None:
        """Connect later, at first use; `start` must come first.

        Args:
            url: `embedded://`, `redis://[[user]:password@]host[:port][/db]`, `rediss://` or `unix:///path`.
            length: vertices kept of a trajectory.
            ttl_s: seconds after its last vertex when a trajectory is forgotten.
            late_tolerance_s: how much older than the newest vertex a new one may be.
            max_connections: connections held at most; calls wait for a free one.
            timeout_s: bound of a call.

        Raises:
            ValueError: the URL has another scheme.
        """
        scheme, separator, _ = url.partition("://")  # no more of it in a message: there may be a password
        if not separator or scheme not in SCHEMES:
            raise ValueError(f"redis: expected a URL that begins with one of {', '.join(SCHEMES)}, got {scheme!r}")
        self._url = url
        self._length = length
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._late_tolerance_s = late_tolerance_s
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._server: EmbeddedRedis | None = None
        self._redis: Redis | None = None

    async def start(self) -> None:
        """Start the embedded server, if the URL asks for it.

        A server elsewhere that cannot be reached is no error here: it may come up later.

        Raises:
            BufferUnavailable: the embedded server does not start.
        """
        url = self._url
        if url.startswith(EMBEDDED_URL):
            self._server = await asyncio.to_thread(EmbeddedRedis)
            url = self._server.url
        # One retry, at once: enough for a connection that the server closed while it was idle, and appending twice is
        # harmless. More would only make the callers of a dead server wait.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=self._max_connections,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(pool)

    async def close(self) -> None:
        """Close the connections and stop the embedded server."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.stop)

    async def reachable(self) -> bool:
        """Whether the server answers."""
        try:
            await self._bounded(self._connected().ping())
        except BufferUnavailable:
            return False
        return True

    async def append_and_read(
        self, keys: Sequence[TrajectoryKey], vertices: Sequence[Vertex]
    ) -> list[Trajectory | TimestampConflict]:
        """Append a vertex to each trajectory; answer with the trajectories up to and including them.

        Each vertex is judged and appended atomically, in the order of the batch, and the whole batch takes one round
        trip. A vertex that is already there is not appended again: a batch can be sent again after a failure.

        Returns:
            For each vertex its trajectory, of at most `length` vertices; or a conflict in `timestamp_s`, and nothing
            was changed: the timestamp is taken by other content, or too old.

        Raises:
            BufferUnavailable: the server cannot be reached, or refuses.
        """
        records = pack(vertices) if vertices else []
        calls = [(key.redis_key(), record) for key, record in zip(keys, records, strict=True)]
        replies = await self._bounded(self._append(calls)) if calls else []
        return [
            _judge(reply, key, vertex, self._late_tolerance_s)
            for reply, key, vertex in zip(replies, keys, vertices, strict=True)
        ]

    async def read(self, key: TrajectoryKey) -> Trajectory:
        """The trajectory as it is buffered, without vertices for an unknown UE. Raises `BufferUnavailable`."""
        stored = await self._bounded(self._connected().get(key.redis_key()))
        return unpack(cast(bytes | None, stored) or b"")

    async def _append(self, calls: list[tuple[str, bytes]]) -> list[bytes]:
        replies = await self._pipelined(calls)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # a new server, or one that was restarted, failed over or flushed
            await self._connected().script_load(APPEND)
            again = await self._pipelined([calls[i] for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return cast(list[bytes], replies)

    async def _pipelined(self, calls: list[tuple[str, bytes]]) -> list[bytes | Exception]:
        pipeline = self._connected().pipeline(transaction=False)
        for key, record in calls:
            pipeline.evalsha(APPEND_SHA, 1, key, record, self._length, self._ttl_ms, self._late_tolerance_s)
        return cast(list[bytes | Exception], await pipeline.execute(raise_on_error=False))

    def _connected(self) -> Redis:
        if self._redis is None:
            raise BufferUnavailable("the trajectory buffer is not started, or closed: call start() first")
        return self._redis

    async def _bounded(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except (RedisError, OSError) as error:  # OSError: also the TimeoutError of asyncio
            reason = str(error) or f"no answer within {self._timeout_s} s"
            raise BufferUnavailable(
                f"expected an answer from Redis, got {type(error).__name__} ({reason}): check the server and its URL"
            ) from error


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
