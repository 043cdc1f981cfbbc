"""Nothing but the tensors' bytes over HTTP, one after the other: the least that a peer of one's own making can do.

The other end is `peers/programs/served_model.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tests.bench.serving.frames import Arrays
from tests.bench.serving.http_load import HttpLoad
from tests.bench.serving.tensors import OUTPUTS
from tests.bench.serving.wire import Answer, Request


@dataclass(frozen=True)
class RawBytes(HttpLoad):
    """See `tests.bench.serving.wire.Wire`."""

    def request(self, model: str, frames: Arrays) -> Request:
        """A peer serves one model, so its name is not said."""
        body = b"".join(np.ascontiguousarray(array).tobytes() for array in frames.values())
        return Request("/infer", body, {"Content-Type": "application/octet-stream"})

    def parse(self, answer: Answer) -> Arrays:
        """Outputs by name; how many frames follows from the length."""
        values = np.frombuffer(answer.body, np.float32)
        widths = {spec.name: prod(int(size) for size in spec.shape[1:]) for spec in OUTPUTS}
        rows, rest = divmod(len(values), sum(widths.values()))
        if rest or not rows:
            raise ValueError(f"answer: {len(answer.body)} bytes are no whole number of rows")
        ends = np.cumsum([width * rows for width in widths.values()])[:-1]
        return {name: part.reshape(rows, -1) for name, part in zip(widths, np.split(values, ends), strict=True)}
