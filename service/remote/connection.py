"""One gateway, as the engine sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Protocol

import numpy as np

from service.contract.tensors import TensorSpec
from service.engine.alignment import aligned_size
from service.engine.protocol import Outputs
from service.errors import CellsenseError
from service.remote.channel import Channel
from service.remote.messages import (
    Ask,
    Cancel,
    Done,
    FromEngine,
    FromGateway,
    Inline,
    Place,
    Placed,
    Released,
    Run,
    Served,
    failed,
    statistics_message,
)
from service.remote.segment import Array, Memory
from service.runner.graph_call import GraphCall
from service.runner.graph_runner import GraphRunner

LET_GO_S = 0.005  # how often runs that nobody waits for are looked at


class Engine(Protocol):
    """What a connection asks for."""

    def runner(self, number: int) -> GraphRunner:
        """The runner of that number. Raises `Unavailable`."""

    async def ask(self, what: str, model: str) -> None:
        """Load or unload a model. Raises `CellsenseError`."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do something on the side."""


class Connection:
    """Answers what one gateway asks for."""

    def __init__(self, engine: Engine, memory: Memory, lost: Callable[[Connection], None]) -> None:
        """Answer by `channel`, once that is connected.

        Args:
            engine: that runs it.
            memory: the gateway's segment.
            lost: called when the gateway is gone.
        """
        self.channel: Channel[FromEngine, FromGateway] = Channel(FromGateway, self._received, self._lose)
        self._engine, self._memory, self._lost = engine, memory, lost
        self._calls: dict[int, GraphCall] = {}  # that are not answered yet
        self._ended: dict[int, GraphCall] = {}  # that are, or were cancelled, while a run may still read their inputs
        self._looking = False

    def tell(self, served: Served) -> None:
        """Say what is served now."""
        self.channel.send(served)

    def close(self) -> None:
        """End the connection."""
        self.channel.close()

    def _lose(self) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.cancel()
        self._ended.clear()
        self._memory.leave()  # at once, however long this object will be kept by others
        self._lost(self)

    def _received(self, message: FromGateway) -> None:
        if isinstance(message, Run):
            self._run(message)
        elif isinstance(message, Cancel):
            self._cancel(message.id)
        else:
            self._engine.spawn(self._answer(message))

    def _run(self, message: Run) -> None:
        try:
            runner = self._engine.runner(message.runner)
            inputs = {
                spec.name: self._memory.array(place[0], spec.dtype, place[1:])
                for spec, place in zip(runner.inputs, message.inputs, strict=True)
            }
            done = partial(self._done, message, runner)
            self._calls[message.id] = runner.enqueue(inputs, message.deadline_s, done)
        except Exception as error:
            self.channel.send(failed(message.id, error))

    def _done(self, message: Run, runner: GraphRunner, outcome: Outputs | CellsenseError) -> None:
        call = self._calls.pop(message.id)
        if isinstance(outcome, CellsenseError):
            held = call.reads_inputs
            self.channel.send(failed(message.id, outcome, held))
            if held:
                self._wait_for(message.id, call)
            return
        outputs = [_plain(outcome[spec.name], spec) for spec in runner.outputs]
        places = None if message.area is None else self._put(outputs, *message.area)
        if places is None:
            content = [(list(array.shape), array.data) for array in outputs]
            answer: FromEngine = Inline(message.id, call.started_at_s, call.ended_at_s, content)  # type: ignore[arg-type]
        else:
            answer = Placed(message.id, call.started_at_s, call.ended_at_s, places)
        self.channel.send(answer)

    def _put(self, outputs: list[Array], start: int, room: int) -> list[Place] | None:
        """Write outputs where the gateway has made room for them; None where they do not fit."""
        if sum(aligned_size(array.nbytes) for array in outputs) > room:
            return None
        places = []
        for array in outputs:
            self._memory.array(start, array.dtype, array.shape)[...] = array
            places.append([start, *array.shape])
            start += aligned_size(array.nbytes)
        return places

    def _cancel(self, identity: int) -> None:
        call = self._calls.pop(identity, None)
        if call is None:
            return  # it was answered meanwhile
        call.cancel()
        self._wait_for(identity, call)

    def _wait_for(self, identity: int, call: GraphCall) -> None:
        """Say so once no run reads the inputs of a call any more."""
        self._ended[identity] = call
        if not self._looking:
            self._looking = True
            self._look()

    def _look(self) -> None:
        for identity in [identity for identity, call in self._ended.items() if not call.reads_inputs]:
            del self._ended[identity]
            self.channel.send(Released(identity))
        self._looking = bool(self._ended)
        if self._looking:
            asyncio.get_running_loop().call_later(LET_GO_S, self._look)

    async def _answer(self, message: Ask) -> None:
        try:
            if isinstance(message.subject, int):
                found = await self._engine.runner(message.subject).read_statistics()
                self.channel.send(statistics_message(message.id, found))
            else:
                await self._engine.ask(message.what, message.subject)
                self.channel.send(Done(message.id))
        except Exception as error:
            self.channel.send(failed(message.id, error))


def _plain(array: Array, spec: TensorSpec) -> Array:
    """The same in one piece and of the type that was promised."""
    if array.flags.c_contiguous and array.dtype == spec.dtype:
        return array
    return np.ascontiguousarray(array, spec.dtype).reshape(array.shape)
