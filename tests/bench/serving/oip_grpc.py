"""Open Inference Protocol v2 over gRPC, tensors in `raw_input_contents`. Messages and client from tritonclient."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.serving import h2load
from tests.bench.serving.frames import Arrays
from tests.bench.serving.load import Load
from tests.bench.serving.oip_http import DATATYPES, DTYPES
from tests.bench.serving.wire import Answer, Request

_TIMEOUT_S = 30
_PREFIX = struct.Struct(">BI")  # of a message on the wire: whether it is compressed, and its length


@dataclass(frozen=True)
class OipGrpc:
    """See `tests.bench.serving.wire.Wire`. Bodies of requests and answers are as on the wire."""

    def require(self) -> None:
        """Raises `RuntimeError` where h2load or tritonclient's gRPC part is not installed."""
        h2load.require()
        if not all(map(importlib.util.find_spec, ("grpc", "tritonclient"))):
            raise RuntimeError("the gRPC part of tritonclient is not installed: pip install tritonclient[grpc]")

    def request(self, model: str, frames: Arrays) -> Request:
        """As `tritonclient.grpc` would write it."""
        from tritonclient.grpc import service_pb2 as messages

        message = messages.ModelInferRequest(
            model_name=model,
            inputs=[
                messages.ModelInferRequest.InferInputTensor(
                    name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape
                )
                for name, array in frames.items()
            ],
            raw_input_contents=[np.ascontiguousarray(array).tobytes() for array in frames.values()],
        ).SerializeToString()
        return Request(
            "/inference.GRPCInferenceService/ModelInfer",
            _PREFIX.pack(0, len(message)) + message,
            {"content-type": "application/grpc", "te": "trailers"},
        )

    def parse(self, answer: Answer) -> Arrays:
        """Outputs by name."""
        from tritonclient.grpc import service_pb2 as messages

        message = messages.ModelInferResponse.FromString(answer.body[_PREFIX.size :])
        return {
            output.name: np.frombuffer(raw, DTYPES[output.datatype]).reshape(tuple(output.shape))
            for output, raw in zip(message.outputs, message.raw_output_contents, strict=True)
        }

    def post(self, port: int, request: Request) -> Answer:
        """Ask once, by the gRPC library. Raises `OSError` with what it says where that fails."""
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]) as channel:
            try:  # without serialisers, it takes and gives bytes
                message = channel.unary_unary(request.path, None, None)(
                    request.body[_PREFIX.size :], timeout=_TIMEOUT_S
                )
            except grpc.RpcError as error:
                raise OSError(f"{request.path}: {error}") from error
        return Answer(_PREFIX.pack(0, len(message)) + message)

    def load(self, port: int, request: Request, answer: Answer, clients: int, seconds: float, scratch: Path) -> Load:
        """Ask as fast as so many clients can, each with a connection of its own."""
        return h2load.run(port, request, len(answer.body), clients, seconds, scratch)
