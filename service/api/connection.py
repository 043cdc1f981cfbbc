"""Work for a client that may go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from service.api.problems import HttpProblem

WATCH_AFTER_S = 0.02  # most work is done before: to listen for the end of every connection would cost a task each

Result = TypeVar("Result")


async def while_connected(receive: Receive, work: Awaitable[Result]) -> Result:
    """What `work` returns; cancelled when the client closes the connection, so that nobody computes for nobody.

    Args:
        receive: of a request whose body was read to its end.
        work: what the client waits for.

    Raises:
        HttpProblem: the client went away (499, which nobody reads).
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    watch = _Watch(receive, task)
    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.gone and not task.uncancel():  # nobody else wants it to end
            raise HttpProblem(499, "Client went away", "the client closed the connection while it waited") from None
        raise
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    """Cancels a task when the client goes away."""

    def __init__(self, receive: Receive, task: asyncio.Task[object]) -> None:
        self.gone = False
        self._receive = receive
        self._task = task
        self._listening: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._listening = asyncio.ensure_future(self._listen())

    def end(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._listening is not None:
            self.gone = True
            self._task.cancel()
