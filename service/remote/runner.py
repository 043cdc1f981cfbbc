"""A graph that an engine in another process runs."""

from __future__ import annotations

import time

import numpy as np

from service.batching.failures import shutting_down, too_late
from service.contract.manifest import Manifest
from service.engine.merging import merging
from service.engine.protocol import Inputs, Outputs
from service.errors import EngineFailure
from service.remote.call import RemoteCall
from service.remote.layout import Layouts
from service.remote.link import EngineLink
from service.remote.messages import Cancel, Inline, Place, Placed, Run
from service.remote.segment import Array, Slot
from service.runner.runner import Done, Runner, model_name
from service.runner.statistics import GraphStatistics


class RemoteRunner(Runner):
    """See `Runner`. Inputs that lie in the segment of the link already stay where they are, others are copied there.

    Attributes:
        link: to the engine.
        number: by which the engine knows it, None while there is no engine.
        waiting_rows: of this process.
    """

    def __init__(self, link: EngineLink, manifest: Manifest, graph: str) -> None:
        """Raise `NotReady` for every call until there is a `number`."""
        contract = manifest.tensors
        self.name = model_name(manifest.name, len(contract.graphs), graph)
        self.version = manifest.version
        self.steps = contract.steps
        self.inputs, self.outputs = contract.graphs[graph]
        self.by_rows = not merging(contract, graph).alone
        self.max_rows = 1
        self.link = link
        self.number: int | None = None
        self.waiting_rows = 0
        self._closed = False
        self._input_types = [(spec.name, np.dtype(spec.dtype), spec) for spec in self.inputs]
        self._output_types = [(spec.name, np.dtype(spec.dtype)) for spec in self.outputs]
        self._layouts = Layouts(self.inputs, self.outputs)

    @property
    def queued_rows(self) -> int:
        """Rows of this process that wait or run; those of others are not known here."""
        return self.waiting_rows

    def enqueue(self, inputs: Inputs, deadline_s: float, done: Done) -> RemoteCall:
        """See `Runner.enqueue`.

        Raises:
            NotReady: there is no engine now.
            ShuttingDown: this was closed.
            DeadlineExceeded: the deadline has passed.
            Overloaded: the segment is full.
            PayloadTooLarge: it would not fit into the segment if that were empty.
            EngineFailure: a tensor is missing, or of another type.
        """
        if self._closed:
            raise shutting_down()
        if self.number is None:
            raise self.link.not_ready()
        arrays = self._checked(inputs)
        if deadline_s <= time.monotonic():
            raise too_late(0.0)
        places, area, slots = self._place(arrays)
        rows = len(arrays[0]) if self.by_rows else 1
        call = RemoteCall(self, self.link.next_id(), rows, deadline_s, slots, done)
        self.waiting_rows += rows
        self.link.run(call, Run(call.id, self.number, deadline_s, places, area))
        return call

    async def read_statistics(self) -> GraphStatistics:
        """What all processes have had the graph do. Raises `NotReady` where there is no engine now."""
        if self.number is None:
            raise self.link.not_ready()
        return await self.link.statistics(self.number)

    async def close(self) -> None:
        """Fail what waits."""
        self._closed = True
        self.link.abandon(self, shutting_down)

    def forsake(self, call: RemoteCall) -> None:
        """Tell the engine that nobody waits for a call any more."""
        self.link.send(Cancel(call.id))

    def outputs_of(self, message: Inline | Placed) -> Outputs:
        """The outputs of an answer, in memory of their own."""
        types = self._output_types
        if isinstance(message, Inline):
            return {
                name: np.ndarray(shape, dtype, content)
                for (name, dtype), (shape, content) in zip(types, message.outputs, strict=True)
            }
        memory = self.link.segment
        return {
            name: memory.array(place[0], dtype, place[1:]).copy()
            for (name, dtype), place in zip(types, message.outputs, strict=True)
        }

    def _checked(self, inputs: Inputs) -> list[Array]:
        arrays = []
        for name, dtype, spec in self._input_types:
            array = inputs.get(name)
            if array is None:
                raise EngineFailure(f"{name}: expected this tensor, got only {', '.join(inputs)}")
            if array.dtype != dtype or array.ndim != len(spec.shape):
                try:
                    spec.check(array)
                except ValueError as error:
                    raise EngineFailure(str(error)) from error
            arrays.append(array)
        return arrays

    def _place(self, arrays: list[Array]) -> tuple[list[Place], tuple[int, int] | None, list[Slot]]:
        """The places of the inputs, room for the outputs, and the slots that all of it lies in."""
        segment = self.link.segment
        layout = self._layouts.of(tuple([array.shape for array in arrays]))
        found: list[int | None]
        if segment.place(arrays[0]) is None:
            found, own_bytes = [None] * len(arrays), layout.input_bytes  # most likely none of them lies in there
        else:
            found = [segment.place(array) for array in arrays]
            own_bytes = layout.input_bytes if None in found else 0
        slots: list[Slot] = []
        start = 0
        if own_bytes + layout.output_bytes:
            slots.append(segment.take(own_bytes + layout.output_bytes))
            start = slots[0].start
        places: list[Place] = []
        for array, offset, place in zip(arrays, layout.starts, found, strict=True):
            shape = array.shape
            if place is None:
                place = start + offset
                segment.array(place, array.dtype, shape)[...] = array
            elif not any(slot.start <= place < slot.end for slot in slots):
                slots.append(segment.slot_at(place).hold())
            places.append([place, *shape])
        room = (start + own_bytes, layout.output_bytes) if layout.output_bytes else None
        return places, room, slots
