"""What a run of the engine costs beside ONNX Runtime alone: `python -m tests.bench.engine`.

Processor time of the calling thread, sessions of one thread, the least of interleaved rounds: other load on the machine
slows all alike and falls out of the ratios. For every graph of the shipped artifacts and for one that does next to
nothing, µs a run of

    raw     ONNX Runtime on the arrays
    engine  the same with all that `OnnxEngine.run` adds
    bound   on buffers at fixed addresses, inputs copied in and outputs out, as on a GPU, but in this thread
    int8    the artifact's 8-bit variant, where it has one
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.engine.artifact import read_artifact
from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Inputs
from service.settings import Settings
from tests.service.engine.generic import write_generic

ROWS = (1, 8, 32)
ROUNDS = 9
ROUND_S = 0.03  # of each contender

Run = Callable[[], object]


def contenders(folder: Path, graph: str, rows: int) -> dict[str, Run]:
    """Ways to run a graph on so many rows."""
    manifest, _ = read_artifact(folder)
    specs = manifest.tensors.graphs[graph]
    engine = OnnxEngine.load(folder, intra_op_threads=1)
    (lane,) = engine._graphs[graph]._lanes
    session = lane._session  # type: ignore[attr-defined] # the very same: where weights lie makes some percent
    inputs = _inputs(engine, graph, rows)
    names = [spec.name for spec in specs[1]]
    found: dict[str, Run] = {
        "raw": lambda: session.run(names, inputs),
        "engine": lambda: engine.run(graph, inputs),
        "bound": _bound(session, names, inputs),
    }
    if (folder / "int8" / f"{graph}.onnx").is_file():
        small = OnnxEngine.load(folder / "int8", intra_op_threads=1)
        found["int8"] = lambda: small.run(graph, inputs)
    return found


def least_us(runs: dict[str, Run]) -> dict[str, float]:
    """µs of processor time of each."""
    times = {}
    for name, run in runs.items():
        run()
        times[name] = [_run_s(run, 1)]
    counts = {name: max(1, round(ROUND_S / found[0])) for name, found in times.items()}
    for number in range(ROUNDS):
        for name in (*list(runs)[number % len(runs) :], *list(runs)[: number % len(runs)]):  # nobody is always first
            times[name].append(_run_s(runs[name], counts[name]))
    return {name: round(1e6 * min(found), 1) for name, found in times.items()}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    parser.add_argument("--models", type=Path, default=Settings().models, help="folder of artifacts")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        write_generic(Path(scratch) / "tiny", "tiny")
        for folder in [Path(scratch) / "tiny", *sorted(path.parent for path in args.models.glob("*/manifest.json"))]:
            manifest, _ = read_artifact(folder)
            for graph in manifest.tensors.graphs:
                for rows in ROWS:
                    line = {"model": manifest.name, "graph": graph, "rows": rows}
                    print(json.dumps(line | least_us(contenders(folder, graph, rows))), flush=True)
    return 0


def _inputs(engine: OnnxEngine, graph: str, rows: int) -> dict[str, NDArray[np.generic]]:
    """Blank but for what is counted in numbers: zeros would be multiplied faster than anything real."""
    rng = np.random.default_rng(0)
    opened = engine._graphs[graph]
    inputs = opened.blank(dict.fromkeys(opened.free, rows))
    for name, array in inputs.items():
        if array.dtype == np.float32 and not name.endswith("mask"):
            inputs[name] = rng.random(array.shape, np.float32)
    return inputs


def _bound(session: ort.InferenceSession, names: list[str], inputs: Inputs) -> Run:
    binding = session.io_binding()
    buffers = {
        name: ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype) for name, array in inputs.items()
    }
    answers = {
        name: ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype)
        for name, array in zip(names, session.run(names, dict(inputs)), strict=True)
    }
    for name, value in buffers.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in answers.items():
        binding.bind_ortvalue_output(name, value)

    def run() -> list[NDArray[np.generic]]:
        for name, array in inputs.items():
            buffers[name].update_inplace(array)
        session.run_with_iobinding(binding)
        return [np.array(value.numpy()) for value in answers.values()]

    return run


def _run_s(run: Run, count: int) -> float:
    started_s = time.thread_time()
    for _ in range(count):
        run()
    return (time.thread_time() - started_s) / count


if __name__ == "__main__":
    sys.exit(main())
