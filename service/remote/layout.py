"""Where the tensors of a request lie: one behind another, and behind them the room for its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.contract.tensors import TensorSpec
from service.engine.alignment import aligned_size

Shapes = tuple[tuple[int, ...], ...]
INLINE_BYTES = 16_384  # outputs that are not larger come with the answer itself
KNOWN_LAYOUTS = 256  # most shapes that are remembered: requests have few


@dataclass(frozen=True)
class Layout:
    """Of a request whose inputs have certain shapes.

    Attributes:
        starts: where each input begins.
        input_bytes: of all of them.
        output_bytes: of the room for the outputs behind them; 0 where they come with the answer.
    """

    starts: tuple[int, ...]
    input_bytes: int
    output_bytes: int


class Layouts:
    """Of the requests for one graph."""

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self._item_bytes = [np.dtype(spec.dtype).itemsize for spec in inputs]
        self._output_bytes = _OutputBytes(inputs, outputs)
        self._known: dict[Shapes, Layout] = {}

    def of(self, shapes: Shapes) -> Layout:
        """The layout of inputs of such shapes."""
        found = self._known.get(shapes)
        if found is None:
            if len(self._known) >= KNOWN_LAYOUTS:
                self._known.clear()
            found = self._known[shapes] = self._make(shapes)
        return found

    def _make(self, shapes: Shapes) -> Layout:
        starts, end = [], 0
        for shape, item_bytes in zip(shapes, self._item_bytes, strict=True):
            starts.append(end)
            end += aligned_size(math.prod(shape) * item_bytes)
        output_bytes = self._output_bytes.total(shapes) or 0
        return Layout(tuple(starts), end, output_bytes if output_bytes > INLINE_BYTES else 0)


class _OutputBytes:
    """How much room the outputs of a graph need, by the shapes of its inputs."""

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        free = {dim: (n, axis) for n, spec in enumerate(inputs) for axis, dim in enumerate(spec.shape)}
        self._outputs: list[tuple[int, list[tuple[int, int]]]] | None = []  # bytes of an element, where sizes are found
        for spec in outputs:
            named = [dim for dim in spec.shape if isinstance(dim, str)]
            if any(dim not in free for dim in named):
                self._outputs = None  # a size that only the graph knows
                return
            fixed = math.prod(dim for dim in spec.shape if isinstance(dim, int))
            self._outputs.append((fixed * np.dtype(spec.dtype).itemsize, [free[dim] for dim in named]))

    def total(self, shapes: Shapes) -> int | None:
        """Bytes of all outputs, each aligned; None where nobody can tell beforehand."""
        if self._outputs is None:
            return None
        return sum(
            aligned_size(nbytes * math.prod(shapes[n][axis] for n, axis in free)) for nbytes, free in self._outputs
        )
