from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as published

from service.rpc.server import serving
from service.rpc.servicer import SERVICE, Servicer
from tests.service.api.scraped import samples_of, total
from tests.service.engine.generic import doubler_inputs
from tests.service.serving.wire_server import WireServer, wire_server


class Watched(Servicer):
    """Says when a stream has ended on its side, which is later than on the client's."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.ended = asyncio.Event()

    async def stream_infer(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        try:
            async for answer in super().stream_infer(requests, context):
                yield answer
        finally:
            self.ended.set()


def request() -> bytes:
    made = published.ModelInferRequest(model_name="doubler")
    for name, array in doubler_inputs(2, 0).items():
        made.inputs.add(name=name, datatype="FP32" if array.dtype.kind == "f" else "UINT8", shape=list(array.shape))
        made.raw_input_contents.append(array.tobytes())
    return made.SerializeToString()


def counted(wire: WireServer, **status: str) -> float:
    samples = samples_of(wire.gateway.metrics.render().decode())
    return total(samples, "cellsense_request_duration_seconds_count", route=f"/{SERVICE}/ModelStreamInfer", **status)


async def test_a_request_of_a_stream_that_is_cancelled_is_not_counted_as_answered(tmp_path: Path) -> None:
    async with wire_server(tmp_path) as wire:
        gateway = wire.gateway
        servicer = Watched(
            gateway.repository,
            gateway.metrics.traffic,
            deadline_s=30.0,
            require_ready=gateway.pipeline.require_available,
            require_control=gateway.require_control,
        )
        async with (
            serving(servicer, "127.0.0.1", 0, max_message_bytes=1 << 20, drain_s=1.0, shared=False) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            asyncio.timeout(30),
        ):
            call = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
            wire.engine.may_go.clear()
            left = call()
            await left.write(request())
            while not wire.engine.runs:
                await asyncio.sleep(0.01)
            left.cancel()
            await servicer.ended.wait()
            wire.engine.may_go.set()
            stays = call()
            await stays.write(request())
            answer = published.ModelStreamInferResponse.FromString(await stays.read())
            assert not answer.error_message
            await stays.done_writing()
            assert await stays.read() is grpc.aio.EOF
        assert counted(wire) == counted(wire, status="OK") == 1
