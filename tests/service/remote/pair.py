"""An engine and gateways of it, on one event loop, over real sockets and real shared memory."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from service.contract.manifest import Manifest
from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Engine, Inputs, Outputs, Plan
from service.metrics import Metrics
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.remote.runner import RemoteRunner
from service.remote.segment import MIB
from service.remote.server import EngineServer
from service.runner.graph_runner import GraphRunner
from service.runner.repository import Repository
from service.runner.runner import Runner
from tests.service.engine.generic import doubler_inputs, write_generic

FOREVER_S = time.monotonic() + 3600
PATIENCE_S = 20.0
MODEL = "doubler"


class Gated:
    """An engine that can be held up: runs wait until `go` is set."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.manifest, self.name, self.providers = engine.manifest, engine.name, engine.providers
        self.rows: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.running = 0
        self._engine = engine

    def plan(self, graph: str) -> Plan:
        return Plan(sessions=1, rows=4)

    def warm_up(self) -> None:
        pass

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        self.running += 1
        self.go.wait(PATIENCE_S)
        self.running -= 1
        self.rows.append(len(next(iter(inputs.values()))))
        return self._engine.run(graph, inputs)


class EngineSide:
    """What the process of the engine has."""

    def __init__(self, folder: Path, max_queue_rows: int = 64) -> None:
        self.engines: dict[str, Gated] = {}
        self._folder, self._max_queue_rows = folder, max_queue_rows
        self._metrics = Metrics(None, "test")
        self.repository = Repository(folder, self._load, self._runners, lambda: self.server.tell())
        self.server = EngineServer(self.repository, {})

    async def start(self, reception: socket.socket) -> None:
        for path in sorted(self._folder.glob("*/manifest.json")):
            self.repository.add(self._load(path.parent))
        self.server.start(reception)
        await self.repository.warm_up()
        self.server.set_ready()

    async def die(self) -> None:
        """As if it had been killed: nothing is said any more."""
        self.server.close()
        for engine in self.engines.values():
            engine.go.set()
        await self.repository.close()

    def _load(self, folder: Path) -> Engine:
        engine = Gated(OnnxEngine.load(folder, intra_op_threads=1))
        self.engines[engine.name] = engine
        return engine

    def _runners(self, engine: Engine) -> dict[str, GraphRunner]:
        graphs, compute = engine.manifest.tensors.graphs, self._metrics.compute
        return {graph: GraphRunner(engine, graph, compute, max_queue_rows=self._max_queue_rows) for graph in graphs}


class GatewaySide:
    """What a gateway has."""

    def __init__(self, folder: Path, reception: socket.socket, segment_bytes: int = MIB) -> None:
        self.ready = False
        self.link = EngineLink(reception, segment_bytes)
        self.mirror = Mirror(folder, self.link, Served([], ready=False))

    def start(self) -> None:
        self.mirror.start(self._told)

    def _told(self, ready: bool) -> None:
        self.ready = ready


class Pair:
    """One engine at a time, and any number of gateways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reception, self.door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reception.setblocking(False)
        self.door.setblocking(False)
        self.engine_side = EngineSide(folder)
        self.gateways: list[GatewaySide] = []

    async def start_engine(self, max_queue_rows: int = 64) -> EngineSide:
        self.engine_side = EngineSide(self.folder, max_queue_rows)
        await self.engine_side.start(self.reception)
        return self.engine_side

    async def start_gateway(self, segment_bytes: int = MIB) -> GatewaySide:
        gateway = GatewaySide(self.folder, self.door, segment_bytes)
        self.gateways.append(gateway)
        gateway.start()
        return gateway


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    made = Pair(folder)
    try:
        yield made
    finally:
        await made.engine_side.die()
        for gateway in made.gateways:
            await gateway.mirror.close()
        made.reception.close()
        made.door.close()


async def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.002)


async def started(both: Pair, gateways: int = 1) -> tuple[EngineSide, list[GatewaySide]]:
    engine = await both.start_engine()
    sides = [await both.start_gateway() for _ in range(gateways)]
    await until(lambda: all(side.ready for side in sides))
    return engine, sides


def write_and_load(folder: Path) -> Manifest:
    write_generic(folder / MODEL)
    return Manifest.load(folder / MODEL)


def runner_of(side: GatewaySide) -> RemoteRunner:
    runner = side.mirror.runner(MODEL)
    assert isinstance(runner, RemoteRunner)
    return runner


async def answers_well(runner: Runner, rows: int = 2, seed: int = 0) -> None:
    inputs = doubler_inputs(rows, seed)
    outputs = await runner.submit(inputs, FOREVER_S)
    np.testing.assert_array_equal(outputs["double"], 2 * inputs["x"])
    np.testing.assert_allclose(outputs["brightness"], inputs["picture"].mean(axis=1), rtol=1e-6)
