"""Ways for one run of a session to go: from arrays to arrays, or by way of buffers that stay on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.padding import pad_rows
from service.engine.protocol import Inputs
from service.engine.staging import Staging

Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]

_SHRINK = ort.RunOptions()
_SHRINK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


class Lane(Protocol):
    """One way. Errors are those of ONNX Runtime, which have no base class of their own."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, most preferred first."""

    def run(self, inputs: Inputs, sizes: Mapping[str, int]) -> Sequence[NDArray[Any]]:
        """Outputs in their order, of inputs that fit, with their rows extended to `sizes`."""

    def shrink(self, inputs: Inputs) -> None:
        """Run, and let go of memory that only larger runs needed."""


class ArrayLane:
    """Runs a session on the arrays themselves, which on a CPU are where they have to be. From any threads at once."""

    def __init__(self, session: ort.InferenceSession, specs: Specs) -> None:
        self.providers = tuple(session.get_providers())
        self._session = session
        self._specs = specs[0]
        self._names = [spec.name for spec in specs[1]]

    def run(self, inputs: Inputs, sizes: Mapping[str, int]) -> Sequence[NDArray[Any]]:
        """See `Lane`."""
        outputs: list[NDArray[Any]] = self._session.run(self._names, pad_rows(self._specs, inputs, sizes))
        return outputs

    def shrink(self, inputs: Inputs) -> None:
        """See `Lane`."""
        self._session.run(self._names, dict(inputs), _SHRINK)


@dataclass(frozen=True)
class _Bound:
    """What the runs of one bucket of each free dimension have in common."""

    inputs: dict[str, ort.OrtValue]
    outputs: list[ort.OrtValue]
    binding: ort.IOBinding
    options: ort.RunOptions


class BufferLane:
    """Runs a session between buffers on its device, whose addresses never change. From several threads at once.

    Inputs are put together in the thread that calls; one after the other they are then copied, run and copied back in
    the device's own. A tensor has one buffer for each bucket of its rows, allocated with the first run of it: warming
    up every bucket is to have them all. What is larger than the largest bucket runs without.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        specs: Specs,
        buckets: Sequence[int],
        thread: ThreadPoolExecutor,
        memory: str,
        *,
        fixed: Mapping[str, int],
        replays: bool = False,
        ahead: int = 2,
    ) -> None:
        """Take an open session.

        Args:
            session: runs the graph.
            specs: its inputs and outputs; where there are buckets, all of them have rows.
            buckets: row counts that get buffers; where there are none, nothing is bound.
            thread: in which the session is run, and nothing else uses its device.
            memory: where buffers are, `"cuda"` or `"cpu"`.
            fixed: sizes of dimensions that have one.
            replays: whether the session records what it runs, to be told apart by bucket.
            ahead: calls that put inputs together at the same time.
        """
        self.providers = tuple(session.get_providers())
        self._session, self._specs, self._thread, self._memory = session, specs, thread, memory
        self._buckets, self._fixed, self._replays = frozenset(buckets), dict(fixed), replays
        self._buffers: dict[tuple[str, int], ort.OrtValue] = {}
        self._bound: dict[tuple[int, ...], _Bound] = {}
        self._names = [spec.name for spec in specs[1]]
        self._stagings: SimpleQueue[Staging] = SimpleQueue()
        if buckets:
            largest = {str(spec.shape[0]): max(buckets) for spec in specs[0]} | self._fixed
            for _ in range(ahead):
                self._stagings.put(Staging(specs[0], largest, pin=memory == "cuda"))

    def run(self, inputs: Inputs, sizes: Mapping[str, int]) -> Sequence[NDArray[Any]]:
        """See `Lane`."""
        rows = {dim: size for dim, size in sizes.items() if dim not in self._fixed}
        if not self._buckets or not self._buckets.issuperset(rows.values()):
            return self._thread.submit(self._run_unbound, inputs, sizes).result()
        staging = self._stagings.get()
        try:
            return self._thread.submit(self._run_bound, staging.fill(inputs, sizes), rows).result()
        finally:
            self._stagings.put(staging)

    def shrink(self, inputs: Inputs) -> None:
        """See `Lane`. What a recorded run used must stay where it is, so nothing is let go of."""

    def addresses(self) -> dict[tuple[str, int], int]:
        """Where the buffer of each tensor and its rows begins."""
        return {key: value.data_ptr() for key, value in self._buffers.items()}

    def _run_bound(self, inputs: Mapping[str, NDArray[np.generic]], rows: Mapping[str, int]) -> list[NDArray[Any]]:
        key = tuple(rows.values())
        bound = self._bound.get(key) or self._bound.setdefault(key, self._bind(rows))
        for name, array in inputs.items():
            bound.inputs[name].update_inplace(array)
        self._session.run_with_iobinding(bound.binding, bound.options)
        return [np.array(value.numpy()) for value in bound.outputs]  # on a CPU the first is a view of the buffer

    def _run_unbound(self, inputs: Inputs, sizes: Mapping[str, int]) -> list[NDArray[Any]]:
        options = self._run_options(-1)
        outputs: list[NDArray[Any]] = self._session.run(self._names, pad_rows(self._specs[0], inputs, sizes), options)
        return outputs

    def _bind(self, rows: Mapping[str, int]) -> _Bound:
        inputs, outputs = ({spec.name: self._buffer(spec, rows) for spec in specs} for specs in self._specs)
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        return _Bound(inputs, list(outputs.values()), binding, self._run_options(len(self._bound) + 1))

    def _buffer(self, spec: TensorSpec, rows: Mapping[str, int]) -> ort.OrtValue:
        sizes = {**rows, **self._fixed}
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
        if (key := (spec.name, shape[0])) not in self._buffers:
            self._buffers[key] = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(spec.dtype), self._memory)
        return self._buffers[key]

    def _run_options(self, recording: int) -> ort.RunOptions:
        """Those that tell recordings apart; -1 is for no recording, 0 for the one without a number."""
        options = ort.RunOptions()
        if self._replays:
            options.add_run_config_entry("gpu_graph_id", str(recording))
        return options
