"""Work that is done for several callers in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Part = TypeVar("Part")


class Together(Generic[Part]):
    """Gathers the parts of callers that call in one turn of the event loop, or while it is busy.

    A run of a model answers many requests in one turn of the loop. At a frame each, going on with every one of them
    alone takes as long as the model: the calls of NumPy and the round trips cost the same for one frame as for ten.
    Belongs to one event loop.
    """

    def __init__(self, work: Callable[[list[Part]], Awaitable[None]], at_once: int | None = None) -> None:
        """Do `work` for the parts that came together.

        Args:
            work: does some parts.
            at_once: how often at a time at most; what came together is shared out, so that none of these is idle.
        """
        self._work = work
        self._at_once = at_once
        self._waiting: list[tuple[Part, asyncio.Future[None]]] = []
        self._called = False
        self._running: set[asyncio.Task[None]] = set()

    async def do(self, part: Part) -> None:
        """Have a part done. Raises what the work raises, for every caller that it was done for.

        A caller that is cancelled before the work begins has no part in it; the others do not notice.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append((part, done))
        if not self._called:
            self._called = True
            loop.call_soon(self._begin)
        await done

    def _begin(self) -> None:
        self._called = False
        free = 1 if self._at_once is None else self._at_once - len(self._running)
        if not free:
            return  # one that ends takes along what waits
        parts = [(part, done) for part, done in self._waiting if not done.done()]
        self._waiting = []
        for share in range(min(free, len(parts))):
            task = asyncio.get_running_loop().create_task(self._run(parts[share::free]))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    async def _run(self, parts: list[tuple[Part, asyncio.Future[None]]]) -> None:
        try:
            await self._work([part for part, _ in parts])
        except BaseException as error:
            for _, done in parts:
                if not done.done():
                    done.set_exception(error) if isinstance(error, Exception) else done.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for _, done in parts:
            if not done.done():
                done.set_result(None)
