"""The gateway behind real sockets in this process, with a model that a test can hold up, and a client of bare bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import tritonclient.http as triton
import uvicorn

from service.api.app import create_app
from service.api.gateway import Gateway
from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Engine, Inputs, Outputs, Plan
from service.oip.codec import datatype
from service.serving.server import server_config
from service.settings import Settings
from tests.service.api.requests import NOW_S
from tests.service.engine.generic import doubler_inputs, write_generic


class HeldEngine:
    """Doubles, and waits before every run until it may go."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.manifest, self.name, self.providers = engine.manifest, engine.name, engine.providers
        self.may_go = threading.Event()
        self.may_go.set()
        self.runs = 0
        self._engine = engine

    def plan(self, graph: str) -> Plan:
        return Plan(sessions=2, rows=4)

    def warm_up(self) -> None:
        self._engine.warm_up()

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        self.runs += 1
        assert self.may_go.wait(10), "the test never let this run go"
        return self._engine.run(graph, inputs)


@dataclass
class WireServer:
    """A gateway, its engine, and where it listens."""

    gateway: Gateway
    engine: HeldEngine
    server: uvicorn.Server
    address: tuple[str, int]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(*self.address)
        yield Client(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@dataclass
class Client:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next answer on this connection."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(head[0].split()[1]), headers, body)

    async def closed(self) -> bool:
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(orjson.loads(self.body)["error"])

    def doubled(self) -> bytes:
        """The bytes of the doubler's first output."""
        length = int(self.headers["inference-header-content-length"])
        size = orjson.loads(self.body[:length])["outputs"][0]["parameters"]["binary_data_size"]
        return self.body[length : length + size]


def call(rows: int, seed: int = 0, path: str = "/v2/models/doubler/infer", **headers: str) -> tuple[bytes, bytes]:
    """An infer call as NVIDIA's client would write it, and the bytes that its answer has to hold."""
    tensors = doubler_inputs(rows, seed)
    inputs = []
    for name, array in tensors.items():
        inputs.append(triton.InferInput(name, list(array.shape), datatype(array.dtype.str)))
        inputs[-1].set_data_from_numpy(array)
    outputs = [triton.InferRequestedOutput("double"), triton.InferRequestedOutput("brightness")]
    body, length = triton.InferenceServerClient.generate_request_body(inputs, outputs)
    given = {"inference-header-content-length": str(length), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return post(path, body, **given), (2 * tensors["x"]).tobytes()


def post(path: str, body: bytes, **headers: str) -> bytes:
    """A request."""
    lines = {"host": "here", "content-length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def wire_server(
    folder: Path, sites: Mapping[str, Engine] | None = None, **settings: Any
) -> AsyncIterator[WireServer]:
    """The gateway, once its model and those of the sites are ready."""
    write_generic(folder / "doubler")
    engine = HeldEngine(OnnxEngine.load(folder / "doubler", intra_op_threads=1))
    chosen = Settings(**{"models": folder, "deadline_s": 30.0, "drain_s": 5, **settings})
    app = create_app(chosen, sites or {}, now_s=lambda: NOW_S, others=[engine])
    config = server_config(chosen, app)
    config.load()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listener]))  # without its handling of signals
    gateway: Gateway = app.state.gateway
    try:
        async with asyncio.timeout(30):
            while not (server.started and gateway.repository.ready() and gateway.pipeline.available):
                await asyncio.sleep(0.01)
        yield WireServer(gateway, engine, server, listener.getsockname()[:2])
    finally:
        engine.may_go.set()
        server.should_exit = True
        await serving
