"""A gateway's connection to the engine: made, kept, and made anew when another engine takes the place of one that died.

A gateway that wants an engine makes two connected sockets, and sends one of them, with the descriptor of its segment,
to the *reception*: a socket that outlives the engines. Whichever engine comes next takes it from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import count

import structlog

from service.batching.failures import shutting_down, too_late
from service.errors import CellsenseError, NotReady, ShuttingDown
from service.remote.call import Owner, RemoteCall
from service.remote.channel import Channel
from service.remote.messages import (
    Ask,
    Cancel,
    Done,
    Failed,
    FromEngine,
    FromGateway,
    Inline,
    Placed,
    Released,
    Run,
    Served,
    Statistics,
    error_of,
    statistics_of,
)
from service.remote.segment import Segment
from service.runner.statistics import GraphStatistics

CAPACITY = struct.Struct("<Q")  # what is sent to the reception, with the two descriptors
RETRY_S = 0.1
WATCH_S = 0.25  # how often calls are looked through whose answer is late
LATE_S = 0.5  # after its deadline, a call is answered without the engine, which answers in time unless it is stuck
ASK_TIMEOUT_S = 5.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class EngineLink:
    """To the engine, whether there is one now or not. Belongs to one event loop."""

    def __init__(self, reception: socket.socket, segment_bytes: int) -> None:
        """Nothing is connected before `start`.

        Args:
            reception: of the engine.
            segment_bytes: most bytes of requests that wait for the engine.
        """
        self.segment = Segment(segment_bytes)
        self._reception = reception
        self._channel: Channel[FromGateway, FromEngine] | None = None
        self._ids = count()
        self._calls: dict[int, RemoteCall] = {}  # until the engine has let go of their memory
        self._asked: dict[int, asyncio.Future[Statistics | Done]] = {}
        self._told: Callable[[Served | None], None] = lambda served: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def follow(self, told: Callable[[Served | None], None]) -> None:
        """Call `told` whenever the engine says what it holds, and with None when it is gone."""
        self._told = told

    def start(self) -> None:
        """Connect, and stay connected until `close`."""
        self._spawn(self._stay_connected())
        self._spawn(self._watch())

    async def close(self) -> None:
        """Fail what waits, end the connection."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channel is not None:
            self._channel.close()
        self._lose(shutting_down)
        self.segment.close()

    def next_id(self) -> int:
        """Of a request."""
        return next(self._ids)

    def send(self, message: FromGateway) -> None:
        """Say something to the engine, if there is one."""
        if self._channel is not None:
            self._channel.send(message)

    def run(self, call: RemoteCall, message: Run) -> None:
        """Send a request, which is answered by a call of `call`."""
        self._calls[call.id] = call
        self.send(message)

    def abandon(self, owner: Owner, make: Callable[[], CellsenseError]) -> None:
        """Fail what waits for one runner."""
        for call in [call for call in self._calls.values() if call.waits and call.owner is owner]:
            self.send(Cancel(call.id))
            self._settle(call, make())

    async def statistics(self, number: int) -> GraphStatistics:
        """What a runner has done. Raises `NotReady` where the engine does not answer."""
        answer = await self._ask("statistics", number)
        assert isinstance(answer, Statistics), "what was asked for"
        return statistics_of(answer)

    async def load(self, model: str) -> None:
        """Have a model loaded. Raises what `Repository.load` raises, and `NotReady`."""
        await self._ask("load", model, patient=True)

    async def unload(self, model: str) -> None:
        """Have a model unloaded. Raises what `Repository.unload` raises, and `NotReady`."""
        await self._ask("unload", model, patient=True)

    def not_ready(self) -> NotReady | ShuttingDown:
        """What a call is answered while there is no engine."""
        return shutting_down() if self._closed else _no_engine()

    async def _ask(self, what: str, subject: int | str, patient: bool = False) -> Statistics | Done:
        if self._channel is None:
            raise self.not_ready()
        identity = self.next_id()
        answer: asyncio.Future[Statistics | Done] = asyncio.get_running_loop().create_future()
        self._asked[identity] = answer
        self._channel.send(Ask(identity, what, subject))
        try:
            async with asyncio.timeout(None if patient else ASK_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise NotReady(f"the engine has not answered for {ASK_TIMEOUT_S:g} s: retry later") from None
        finally:
            self._asked.pop(identity, None)

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            gone = asyncio.Event()
            ours = self._apply()
            if ours is None:
                await asyncio.sleep(RETRY_S)
                continue
            channel: Channel[FromGateway, FromEngine] = Channel(FromEngine, self._received, gone.set)
            await loop.create_unix_connection(_same(channel), sock=ours)
            self._channel = channel
            await gone.wait()
            self._channel = None
            log.warning("The engine is gone: requests are turned away until there is another")
            self._lose(_no_engine)
            self._told(None)

    def _apply(self) -> socket.socket | None:
        """One end of a connection whose other end is with the reception; None where that is full."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                content = [CAPACITY.pack(self.segment.capacity)]
                socket.send_fds(self._reception, content, [theirs.fileno(), self.segment.descriptor])
            except OSError as error:
                log.warning("The engine cannot be reached", error=str(error))
                ours.close()
                return None
        return ours

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            late_s = time.monotonic() - LATE_S
            for call in [call for call in self._calls.values() if call.waits and call.deadline_s < late_s]:
                self.send(Cancel(call.id))
                self._settle(call, too_late(time.monotonic() - call.queued_at_s))

    def _received(self, message: FromEngine) -> None:
        if isinstance(message, Inline | Placed):
            call = self._calls.pop(message.id)
            with self._guarded():
                call.answered(message)
        elif isinstance(message, Failed):
            self._fail(message)
        elif isinstance(message, Released):
            self._calls.pop(message.id).release()
        elif isinstance(message, Served):
            self._told(message)
        elif (asked := self._asked.get(message.id)) is not None and not asked.done():
            asked.set_result(message)

    def _fail(self, message: Failed) -> None:
        asked = self._asked.get(message.id)
        if asked is not None:
            if not asked.done():
                asked.set_exception(error_of(message))
            return
        if message.held:
            call = self._calls[message.id]
        else:
            call = self._calls.pop(message.id)
            call.release()
        self._settle(call, error_of(message))

    def _settle(self, call: RemoteCall, error: CellsenseError) -> None:
        with self._guarded():
            call.settle(error)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whoever waits may fail, and nobody else is to suffer from it."""
        try:
            yield
        except Exception as error:
            context = {"message": "Whoever waited for an answer failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _lose(self, make: Callable[[], CellsenseError]) -> None:
        """There is no engine any more: nobody reads the segment, and nobody answers."""
        calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.release()
            self._settle(call, make())
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(make())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _same(channel: Channel[FromGateway, FromEngine]) -> Callable[[], Channel[FromGateway, FromEngine]]:
    return lambda: channel


def _no_engine() -> NotReady:
    return NotReady("the engine has ended, and another is being started: retry in a few seconds")
