"""Where the processor time of an infer call goes: `python -m tests.bench.infer_stages`.

The bench model behind the gateway's own connection protocol in this process, asked by 32 connections one frame a
request, as `tests.bench.serving` does over the network. Parts are timed in processor time of the thread that does them,
so that whatever else runs on the machine counts little:

- on the event loop: all that happens between the bytes of a call and those of its answer;
- in the engine's threads: rows put together, ONNX Runtime, rows taken apart;
- the sockets: the same bytes over loopback, by a receiver and a sender of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from uvicorn.server import ServerState

from service.api.app import create_app
from service.api.gateway import Gateway
from service.api.infer_heads import infer_head
from service.api.plain_heads import HEAD_END, KnownHeads
from service.engine.onnx_engine import OnnxEngine
from service.oip.codec import write_response
from service.runner.graph_runner import GraphRunner
from service.serving.express import ExpressProtocol
from service.serving.memory import keep_freed_memory
from service.serving.process import server_config
from service.settings import Settings
from tests.bench.serving.artifact import write_artifact
from tests.bench.serving.bench_model import SIZES
from tests.bench.serving.frames import draw, take
from tests.bench.serving.oip_http import OipHttp

CLIENTS = 32
SESSIONS, ROWS = 2, 8  # as found out at start on two cores; fixed here, so that runs compare
TIMES = 2000  # that a part is repeated


class _Transport(asyncio.Transport):
    """Takes answers, and asks for the next call."""

    def __init__(self, answered: Callable[[], None]) -> None:
        super().__init__()
        self._answered = answered

    def write(self, data: Any) -> None:
        self._answered()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to do."""


def request_bytes(model: str) -> bytes:
    """A call for one frame, as it is sent."""
    request = OipHttp().request(model, take(draw(1), 0, 1))
    lines = {"host": "127.0.0.1:8000", "content-length": str(len(request.body)), **request.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {request.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body


async def whole(protocol: Callable[[], ExpressProtocol], data: bytes, seconds: float) -> tuple[float, int]:
    """Processor seconds of this thread for as many calls as are answered in that time, and their number."""
    loop, answered = asyncio.get_running_loop(), 0
    over = asyncio.Event()
    end_s = time.perf_counter() + seconds
    feeding_s = 0.0

    def feed(connection: ExpressProtocol) -> None:
        nonlocal feeding_s
        left = memoryview(data)
        while left:
            buffer = connection.get_buffer(-1)
            size = min(len(buffer), len(left))
            started_s = time.thread_time()
            buffer[:size] = left[:size]  # what the kernel does: counted with the sockets
            feeding_s += time.thread_time() - started_s
            connection.buffer_updated(size)
            left = left[size:]

    def connect() -> None:
        connection = protocol()

        def done() -> None:
            nonlocal answered
            answered += 1
            if time.perf_counter() < end_s:
                loop.call_soon(feed, connection)
            else:
                over.set()

        connection.connection_made(_Transport(done))
        feed(connection)

    for _ in range(CLIENTS):
        connect()
    started_s = time.thread_time()
    await over.wait()
    return time.thread_time() - started_s - feeding_s, answered


def repeated_us(work: Callable[[], object]) -> float:
    """Processor time of a call, microseconds: of the fastest of five rounds."""

    def one() -> float:
        started_s = time.thread_time()
        for _ in range(TIMES):
            work()
        return (time.thread_time() - started_s) / TIMES

    return 1e6 * min(one() for _ in range(5))


def sockets_us(request: bytes, answer_bytes: int) -> tuple[float, float]:
    """Processor time to receive a request and to send an answer over loopback, microseconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            return _exchange(server, client, request, answer_bytes)


def _exchange(server: socket.socket, client: socket.socket, request: bytes, answer_bytes: int) -> tuple[float, float]:
    def ask() -> None:
        for _ in range(TIMES):
            client.sendall(request)
            left = answer_bytes
            while left:
                left -= len(client.recv(left))

    asking = threading.Thread(target=ask)
    asking.start()
    buffer, answer = memoryview(bytearray(len(request))), bytes(answer_bytes)
    receive_s = send_s = 0.0
    for _ in range(TIMES):
        got = 0
        started_s = time.thread_time()
        while got < len(request):
            got += server.recv_into(buffer[got:])
        received_s = time.thread_time()
        server.sendall(answer)
        receive_s, send_s = receive_s + received_s - started_s, send_s + time.thread_time() - received_s
    asking.join()
    return 1e6 * receive_s / TIMES, 1e6 * send_s / TIMES


async def measure(models: Path, seconds: float) -> dict[str, float]:
    """Microseconds a frame, by part; parts that begin with a dash are contained in the one above them."""
    engine = OnnxEngine.load(models / "bench", sessions=SESSIONS, intra_op_threads=1)
    settings = Settings(models=models, max_run_rows=ROWS)
    app = create_app(settings, {}, others=[engine])
    gateway: Gateway = app.state.gateway
    config = server_config(settings, app)
    config.load()
    data = request_bytes("bench")
    async with gateway.running():
        while not gateway.repository.ready():
            await asyncio.sleep(0.02)
        runner, state = gateway.repository.runner("bench"), ServerState()
        connect = lambda: ExpressProtocol(config, state, {})  # noqa: E731
        await whole(connect, data, 1.0)  # caches, memory
        found = _Counted(runner)
        all_before_s = time.process_time()
        loop_s, answered = await whole(connect, data, seconds)
        all_s = time.process_time() - all_before_s
        parts = found.since(answered)
        on_loop_us = 1e6 * loop_s / answered
        head, _, body = data.partition(HEAD_END)
        call_parts, answer_bytes = _parts(gateway, runner, head + HEAD_END, body)
    receive_us, send_us = sockets_us(data, answer_bytes)
    return {
        "event loop": on_loop_us,
        **{f"- {name}": us for name, us in call_parts.items()},
        "engine's threads": 1e6 * all_s / answered - on_loop_us,
        **{f"- {name}": us for name, us in parts.items()},
        "sockets": receive_us + send_us,
        "- receive the request": receive_us,
        "- send the answer": send_us,
    }


class _Counted:
    """What a model's own statistics grow by."""

    def __init__(self, runner: GraphRunner) -> None:
        self._runner = runner
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        jobs = self._runner.statistics.batches
        return {
            "put rows together": sum(run.merge.total_s for run in jobs.values()),
            "ONNX Runtime": sum(run.compute.total_s for run in jobs.values()),
            "take rows apart": sum(run.split.total_s for run in jobs.values()),
        }

    def since(self, frames: int) -> dict[str, float]:
        """Microseconds a frame, by the clock on the wall."""
        return {f"{name} (wall)": 1e6 * (now - self._before[name]) / frames for name, now in self._now().items()}


def _parts(gateway: Gateway, runner: GraphRunner, head: bytes, body: bytes) -> tuple[dict[str, float], int]:
    """The parts on the event loop, each by itself, and the size of an answer."""
    calls_of = gateway.inference
    from service.api.infer_calls import InferCalls

    calls, heads = InferCalls(gateway), KnownHeads(infer_head)
    call = heads.read(head)
    assert call is not None, "it is a plain call"
    request = calls_of.read(memoryview(body), call.header_length, runner)
    outputs = {spec.name: np.zeros((1, *[int(d) for d in spec.shape[1:]]), spec.dtype) for spec in runner.outputs}
    written, _ = write_response(request, outputs, runner.name, runner.version)

    def count() -> None:
        calls.admit(call)
        calls.release(call)
        calls.ended(call, 200, 0.0)

    return {
        "know the head": repeated_us(lambda: heads.read(head)),
        "read the document, see tensors, check": repeated_us(
            lambda: calls_of.read(memoryview(body), call.header_length, runner)
        ),
        "write the answer": repeated_us(
            lambda: b"".join(write_response(request, outputs, runner.name, runner.version)[0])
        ),
        "count": repeated_us(count),
    }, sum(map(len, written)) + 200  # and its head


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.infer_stages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        write_artifact(Path(folder), SIZES["bench"])
        found = uvloop.run(measure(Path(folder), args.seconds))
    if args.json:
        print(json.dumps(found))
        return
    total = sum(us for name, us in found.items() if not name.startswith("-"))
    print("| an infer call of one frame, 32 at a time | µs of processor time |\n|---|---|")
    for name, us in found.items():
        print(f"| {name} | {us:.1f} |")
    print(f"| **all** | **{total:.0f}** |")


if __name__ == "__main__":
    main()
