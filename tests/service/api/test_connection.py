from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from service.api.connection import WATCH_AFTER_S, while_connected
from service.api.problems import HttpProblem


class Client:
    """May go away; remembers whether anybody listened for it."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.listened_for = False

    async def receive(self) -> Message:
        self.listened_for = True
        await self.left.wait()
        return {"type": "http.disconnect"}


class Work:
    """Takes some time; remembers whether it was cancelled."""

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.cancelled = False

    async def run(self) -> str:
        try:
            await asyncio.sleep(self.duration_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"


async def test_quick_work_is_done_without_listening_for_the_client() -> None:
    client = Client()
    client.left.set()
    assert await while_connected(client.receive, Work(0.0).run()) == "done"
    await asyncio.sleep(2 * WATCH_AFTER_S)
    assert not client.listened_for


async def test_work_is_cancelled_when_the_client_goes_away() -> None:
    client, work = Client(), Work(60.0)
    asyncio.get_running_loop().call_later(2 * WATCH_AFTER_S, client.left.set)
    with pytest.raises(HttpProblem, match="closed the connection") as caught:
        await while_connected(client.receive, work.run())
    assert caught.value.status == 499
    assert work.cancelled
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()  # whoever goes on is not disturbed


async def test_slow_work_is_done_for_a_client_that_stays() -> None:
    client = Client()
    assert await while_connected(client.receive, Work(3 * WATCH_AFTER_S).run()) == "done"
    assert client.listened_for


async def test_a_cancel_from_elsewhere_stays_one() -> None:
    client, work = Client(), Work(60.0)
    call = asyncio.create_task(while_connected(client.receive, work.run()))
    await asyncio.sleep(2 * WATCH_AFTER_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert work.cancelled


async def test_a_deadline_around_it_is_kept() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * WATCH_AFTER_S):
            await while_connected(Client().receive, Work(60.0).run())


async def test_failures_come_through() -> None:
    async def fail() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await while_connected(Client().receive, fail())
