"""Infer answers as bytes: what they say of their tensors, and the tensors as raw contents."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from service.engine.packed import bytes_of
from service.errors import CellsenseError, InvalidInput
from service.oip.codec import REMEMBERED, Tensor, datatype
from service.rpc.open_inference_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from service.rpc.varints import varint

if TYPE_CHECKING:
    from service.rpc.infer_requests import InferRequest

Heads = dict[object, tuple[bytes, tuple[tuple[str, bytes], ...]]]
"""What stands before the tensors of an answer, and names of its tensors with what stands before each."""

_RAW = b"\x32"  # tag of `raw_output_contents`: the last field, so that a message is written as protobuf would
_ANSWER = b"\x12"  # tag of `infer_response`


def write_answer(request: InferRequest, outputs: Mapping[str, Tensor]) -> bytes:
    """A `ModelInferResponse`. Raises `InvalidInput` where an output was asked for that is not there."""
    heads = request.heads
    key = tuple([(array.shape, array.dtype.num) for array in outputs.values()])
    found = None if heads is None else heads.get(key)
    if found is None:
        found = _head(request, outputs)
        if heads is not None:
            if len(heads) >= REMEMBERED:
                heads.clear()
            heads[key] = found
    head, tensors = found
    parts: list[bytes | memoryview] = [head]
    for name, mark in tensors:
        parts += mark, bytes_of(outputs, name)
    return b"".join(parts)


def streamed(answer: bytes) -> bytes:
    """A `ModelStreamInferResponse` that holds an answer."""
    return b"".join((_ANSWER, varint(len(answer)), answer))


def streamed_error(request: bytes, error: CellsenseError) -> bytes:
    """A `ModelStreamInferResponse` that says what was wrong with a request."""
    answer = ModelStreamInferResponse(error_message=str(error))
    with contextlib.suppress(DecodeError):
        answer.infer_response.id = ModelInferRequest.FromString(request).id
    return answer.SerializeToString()


def _head(request: InferRequest, outputs: Mapping[str, Tensor]) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    message, runner = request.message, request.runner
    answer = ModelInferResponse(model_name=runner.name, model_version=runner.version, id=message.id)
    tensors = []
    for number, name in enumerate([entry.name for entry in message.outputs] or list(outputs)):
        if name not in outputs:
            raise InvalidInput(f"outputs[{number}].name", f"one of {', '.join(outputs)}", repr(name[:64]))
        array = outputs[name]
        answer.outputs.add(name=name, datatype=datatype(array.dtype.str), shape=array.shape)
        tensors.append((name, _RAW + varint(array.nbytes)))
    return answer.SerializeToString(), tuple(tensors)
