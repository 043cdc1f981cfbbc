"""Where the time of `/v1/sense` goes, stage by stage: `python -m tests.bench.sense_stages --artifact gated-fusion`.

The recording that the artifact ships is answered in MessagePack, one request after the other, each stage called by
itself and timed in processor time of its thread, so that whatever else runs on the machine counts little. Sockets and
the hops between threads are not in it: `tests.bench.serving` has those. The last line says which share of the time is
spent in the model's two graphs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from service.api.gateway import Gateway
from service.api.media import MESSAGEPACK
from service.api.parsing import parse_batch
from service.api.sense import sense_response
from service.demo.recording import as_of, read_recording
from service.engine.discovery import load_artifacts
from service.engine.onnx_engine import OnnxEngine
from service.feedback.packing import pack as pack_answers
from service.pipeline.assembly import fuse_inputs
from service.pipeline.normalise import Work, normalise, pictures
from service.pipeline.observing import observe_answers
from service.pipeline.outcomes import frame_outcomes
from service.serving.garbage import collect_seldom
from service.serving.memory import keep_freed_memory
from service.settings import Settings
from tests.bench.sense.material import raw

Result = TypeVar("Result")
GRAPHS = ("encode", "fuse")


class Stopwatch:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def time(self, stage: str, work: Callable[..., Result], *args: object) -> Result:
        """What the work returns; its time counts for the stage."""
        started_s = time.thread_time()
        result = work(*args)
        self.seconds[stage] += time.thread_time() - started_s
        return result


def bodies(artifact: Path, number: int, most: int = 4096) -> tuple[list[bytes], int]:
    """The requests of the artifact's recording in MessagePack, by UEs of their own, and the number of their frames.

    Args:
        artifact: its folder.
        number: that the UEs are told apart by.
        most: frames of a request; the recording's requests are cut into such.
    """
    exchanges = as_of(read_recording(artifact / "sample.jsonl.gz"), time.time(), f"-{number}")
    requests = [cut for exchange in exchanges for cut in _cut(raw(exchange.request), most)]
    return [MESSAGEPACK.dump(request) for request in requests], sum(len(request["frames"]) for request in requests)


def _cut(request: dict[str, Any], most: int) -> Iterator[dict[str, Any]]:
    """A request as several of at most so many frames, each with the scenes that its frames refer to."""
    for first in range(0, len(request["frames"]), most):
        frames = request["frames"][first : first + most]
        used = {frame.get("scene") for frame in frames}
        yield {"frames": frames, "scenes": [scene for scene in request.get("scenes", ()) if scene["id"] in used]}


async def answer(gateway: Gateway, body: bytes, watch: Stopwatch) -> None:
    """One request, stage by stage, as the gateway's route and its pipeline do it."""
    pipeline = gateway.pipeline
    batch = watch.time("parse", parse_batch, MESSAGEPACK, body, 4096, 64)
    work = Work(dict(enumerate(batch.frames)), dict(enumerate(batch.scenes)))
    decoded = watch.time("pictures", pictures, work, pipeline._limits)
    groups, errors = watch.time("normalise", normalise, [work], [decoded], pipeline._models, pipeline._sites)
    assert not errors
    for group in groups:
        model, completion = group.model, pipeline._completion
        encoded = watch.time("encode", model.engine.run, "encode", group.inputs)
        rows = list(range(len(group.entries)))
        started_s = time.thread_time()
        trajectories, _ = await completion._remember(group, rows, encoded["embedding"], 1)
        watch.seconds["Redis, this side"] += time.thread_time() - started_s
        inputs = watch.time("fuse inputs", fuse_inputs, model.contract, trajectories, group.text)
        fused = watch.time("fuse", model.engine.run, "fuse", inputs)
        weights = {name: tensor for name, tensor in encoded.items() if name != "embedding"}
        frames = dict(zip(group.places, group.entries, strict=True))
        outcomes = watch.time("decode", frame_outcomes, model, frames, group.sites, trajectories, weights, fused, ())
        answers = [outcomes[place] for place in group.places]
        watch.time("metrics", observe_answers, gateway.metrics, answers)
        watch.time("keep for labels", pack_answers, answers)
        watch.time("serialise", sense_response, gateway, answers, MESSAGEPACK)


async def measure(models: Path, artifact: str, rounds: int, most: int) -> dict[str, float]:
    """Microseconds of each stage a frame, of the fastest of several rounds of requests of at most so many frames."""
    load = partial(OnnxEngine.load, sessions=1, intra_op_threads=1)
    gateway = Gateway(Settings(models=models, prefer=(artifact,)), load_artifacts(models, load, [artifact]).by_site)
    best: dict[str, float] = {}
    collect_seldom()
    async with gateway.running():
        while not gateway.repository.ready():
            await asyncio.sleep(0.05)
        for number in range(rounds):
            requests, frames = bodies(models / artifact, number, most)
            watch = Stopwatch()
            for body in requests:
                await answer(gateway, body, watch)
            found = {stage: 1e6 * seconds / frames for stage, seconds in watch.seconds.items()}
            if not best or sum(found.values()) < sum(best.values()):
                best = found
    return best


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sense_stages", description=__doc__)
    parser.add_argument("--models", type=Path, default=Settings.model_fields["models"].default)
    parser.add_argument("--artifact", default="gated-fusion")
    parser.add_argument("--frames", type=int, default=4096, help="of a request at most (default: as recorded)")
    parser.add_argument("--rounds", type=int, default=5, help="(default %(default)s)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    keep_freed_memory()
    found = uvloop.run(measure(args.models, args.artifact, args.rounds, args.frames))
    if args.json:
        print(json.dumps(found))
        return
    total, graphs = sum(found.values()), sum(found[graph] for graph in GRAPHS)
    print(f"| {args.artifact} | µs a frame | share |\n|---|---|---|")
    for stage, microseconds in found.items():
        print(f"| {stage} | {microseconds:.1f} | {microseconds / total:.1%} |")
    print(f"| all; graphs alone | {total:.0f}; {graphs:.0f} | {graphs / total:.1%} in the graphs |")


if __name__ == "__main__":
    main()
