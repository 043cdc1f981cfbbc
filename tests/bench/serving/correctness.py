"""Whether a server answers right, one request at a time and many at once, before it is timed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.bench.serving.frames import Arrays, take
from tests.bench.serving.wire import Answer, Wire

_TOLERANCE = {"cpu": 1e-4, "cuda": 2e-2}  # on CUDA convolutions may round to TF32
_AT_ONCE = 16


def check(wire: Wire, port: int, model: str, frames: Arrays, expected: Arrays, provider: str) -> dict[int, Answer]:
    """Ask for all frames in one request, and for each in a request of its own with others beside it.

    Returns:
        A right answer to one frame and to all, by number of frames.

    Raises:
        ValueError: an answer is wrong.
        OSError: there is none.
    """
    count = len(next(iter(frames.values())))

    def ask(first: int, number: int) -> Answer:
        answer = wire.post(port, wire.request(model, take(frames, first, number)))
        _compare(wire.parse(answer), take(expected, first, number), _TOLERANCE[provider])
        return answer

    whole = ask(0, count)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        single = list(pool.map(lambda row: ask(row, 1), range(count)))
    return {1: single[0], count: whole}


def _compare(answer: Arrays, expected: Arrays, tolerance: float) -> None:
    if answer.keys() != expected.keys():
        raise ValueError(f"answer: expected {', '.join(expected)}, got {', '.join(answer)}")
    for name, values in expected.items():
        if answer[name].shape != values.shape:
            raise ValueError(f"answer: {name}: expected shape {values.shape}, got {answer[name].shape}")
        if not np.allclose(answer[name], values, rtol=tolerance, atol=tolerance):
            error = float(np.abs(np.subtract(answer[name], values)).max())
            raise ValueError(f"answer: {name}: off by up to {error:.3g} from ONNX Runtime in-process")
