"""A Redis server to talk to: one that exists, or an embedded one that lives as long as the connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from service.errors import BufferUnavailable
from service.trajectory.embedded import EMBEDDED_URL, EmbeddedRedis
from service.trajectory.script import Script

SCHEMES = ("embedded", "redis", "rediss", "unix")

T = TypeVar("T")
Argument = bytes | str | int | float
Call = tuple[Sequence[str], Sequence[Argument]]
Observe = Callable[[str, float, bool], None]


class RedisConnection:
    """A pool of connections to one server. Belongs to one event loop. Every call is bounded in time."""

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 16,
        timeout_s: float = 0.5,
        observe: Observe = lambda operation, duration_s, well: None,
    ) -> None:
        """Connect later, at first use; `start` must come first.

        Args:
            url: `embedded://`, `redis://[[user]:password@]host[:port][/db]`, `rediss://` or `unix:///path`.
            max_connections: connections held at most; calls wait for a free one.
            timeout_s: bound of a call, connecting included.
            observe: called after each call that was not cancelled, with what it was for, its time in seconds, and
                whether it went well.

        Raises:
            ValueError: the URL has another scheme.
        """
        scheme, separator, _ = url.partition("://")  # no more of it in a message: there may be a password
        if not separator or scheme not in SCHEMES:
            raise ValueError(f"redis: expected a URL that begins with one of {', '.join(SCHEMES)}, got {scheme!r}")
        self._url = url
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._observe = observe
        self._server: EmbeddedRedis | None = None
        self._client: Redis | None = None

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
        # One retry, at once: enough for a connection that the server closed while it was idle, and every command that
        # is sent here may arrive twice. More would only make the callers of a dead server wait.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=self._max_connections,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._client = Redis.from_pool(pool)

    async def close(self) -> None:
        """Close the connections and stop the embedded server."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.stop)

    @property
    def client(self) -> Redis:
        """The client, to build a call with. Raises `BufferUnavailable` before `start` and after `close`."""
        if self._client is None:
            raise BufferUnavailable("the connection to Redis is not started, or closed: call start() first")
        return self._client

    async def reachable(self) -> bool:
        """Whether the server answers."""
        try:
            await self.bounded("ping", self.client.ping())
        except BufferUnavailable:
            return False
        return True

    async def run_script(self, operation: str, script: Script, calls: Sequence[Call]) -> list[object]:
        """Run a script for each call, in one round trip for all of them, and answer with its replies.

        Args:
            operation: what it is for.
            script: which may run twice for a call: a lost answer is asked for again.
            calls: the keys and the arguments of each.

        Raises:
            BufferUnavailable: as for `bounded`; some of the calls may have been run.
        """
        return await self.bounded(operation, self._run_script(script, calls)) if calls else []

    async def bounded(self, operation: str, call: Awaitable[T]) -> T:
        """The result of a call, which is observed as `operation`.

        Raises:
            BufferUnavailable: the server cannot be reached, refuses, or takes too long.
        """
        started_s = time.monotonic()
        try:
            result = await _within(self._timeout_s, call)
        except (RedisError, OSError) as error:  # OSError: also the TimeoutError of asyncio
            self._observe(operation, time.monotonic() - started_s, False)
            reason = str(error) or f"no answer within {self._timeout_s} s"
            raise BufferUnavailable(
                f"expected an answer from Redis, got {type(error).__name__} ({reason}): check the server and its URL"
            ) from error
        self._observe(operation, time.monotonic() - started_s, True)
        return result

    async def _run_script(self, script: Script, calls: Sequence[Call]) -> list[object]:
        replies = await self._pipelined(script, calls)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # a new server, or one that was restarted, failed over or flushed
            await self.client.script_load(script.text)
            again = await self._pipelined(script, [calls[i] for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _pipelined(self, script: Script, calls: Sequence[Call]) -> list[object]:
        if len(calls) == 1:  # most often: by itself it takes half of the time on this side
            ((keys, arguments),) = calls
            try:
                return [await self.client.evalsha(script.sha, len(keys), *keys, *arguments)]
            except ResponseError as error:
                return [error]
        pipeline = self.client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        return cast(list[object], await pipeline.execute(raise_on_error=False))


async def _within(timeout_s: float, call: Awaitable[T]) -> T:
    """What a call returns or raises in time, unless this task was cancelled meanwhile.

    The client may swallow the exception that says so, or turn it into one of its own. Whoever cancelled must not wait
    for ever, so it is raised again.
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    cancelled = task.cancelling()
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    finally:
        if task.cancelling() > cancelled:
            raise asyncio.CancelledError
