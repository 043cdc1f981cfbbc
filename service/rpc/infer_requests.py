"""Infer requests from their bytes, without a copy of a tensor.

Clients that send raw contents repeat the rest of their requests: names, datatypes, shapes. So what stands before the
first tensor is looked up as it is, and what it says is read once.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from service.engine.packed import Packed, Place
from service.errors import MalformedBody
from service.oip.codec import DATATYPES, REMEMBERED, REMEMBERED_BYTES, Tensor, timeout_s
from service.oip.inference import check_numbers, has_numbers_to_check
from service.rpc.infer_answers import Heads
from service.rpc.messages import parameter, read_inputs
from service.rpc.open_inference_pb2 import ModelInferRequest
from service.rpc.varints import read_varint, varint
from service.runner.catalogue import Catalogue
from service.runner.runner import Runner

_RAW = 0x3A  # tag of `raw_input_contents`
_LENGTH_GIVEN = 2  # wire type of all fields of a request


class InferRequest(NamedTuple):
    """What was asked.

    Attributes:
        message: with or without its raw contents.
        runner: of the model.
        inputs: its tensors by name.
        timeout_s: seconds after which the answer is of no use, None where the caller does not say.
        heads: of answers that requests with the same document got; None where none are kept.
    """

    message: ModelInferRequest
    runner: Runner
    inputs: Mapping[str, Tensor]
    timeout_s: float | None
    heads: Heads | None


class InferRequestReader:
    """Reads requests for the models of a repository."""

    def __init__(self, repository: Catalogue[Any]) -> None:
        self._repository = repository
        self._known: dict[bytes, _Document] = {}

    def read(self, data: bytes) -> InferRequest:
        """Parse and check a request.

        Raises:
            UnknownModel, ModelNotReady: see `Catalogue.runner`.
            MalformedBody: it is no such message.
            InvalidInput: see `read_inputs`, `check_numbers` and `timeout_s`.
        """
        size = document_size(data)
        if size > REMEMBERED_BYTES:
            size = 0
        known = self._known.get(data[:size]) if size else None
        if known is not None:
            message = known.message
            runner = self._repository.runner(message.model_name, message.model_version)
            if known.runner() is runner and known.precedes(data, size):
                inputs = Packed(memoryview(data)[size:], known.places)
                if known.check:
                    check_numbers(inputs, runner)
                return InferRequest(message, runner, inputs, known.timeout_s, known.heads)
        request = self._read_whole(data)
        if not size:
            return request
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        document = data[:size]
        self._known[document] = known = _Document.of(document, request)
        return request._replace(heads=known.heads)

    def _read_whole(self, data: bytes) -> InferRequest:
        try:
            message = ModelInferRequest.FromString(data)
        except DecodeError as error:
            raise MalformedBody("request", "a ModelInferRequest", str(error)) from error
        runner = self._repository.runner(message.model_name, message.model_version)
        inputs = read_inputs(message, runner.inputs)
        check_numbers(inputs, runner)
        given = parameter(message.parameters, "timeout")
        return InferRequest(message, runner, inputs, None if given is None else timeout_s(given), None)


class _Document(NamedTuple):
    """What a request says before its raw contents."""

    message: ModelInferRequest
    runner: weakref.ref[Runner]  # that it was read for: a model that is loaded anew may have other tensors
    marks: tuple[tuple[int, bytes], ...]  # what stands before each tensor, and where after the document
    places: dict[str, Place]
    size: int  # of all that
    timeout_s: float | None
    check: bool  # whether its numbers have to be looked at
    heads: Heads

    @classmethod
    def of(cls, document: bytes, request: InferRequest) -> _Document:
        """That of a request that was read as a whole."""
        message, runner = ModelInferRequest.FromString(document), request.runner
        marks, places, end = [], {}, 0
        for entry in message.inputs:
            array = request.inputs[entry.name]
            mark = bytes([_RAW]) + varint(array.nbytes)
            marks.append((end, mark))
            start = end + len(mark)
            end = start + array.nbytes
            places[entry.name] = Place(array.shape, DATATYPES[entry.datatype], start, end)
        check = has_numbers_to_check(runner)
        return cls(message, weakref.ref(runner), tuple(marks), places, end, request.timeout_s, check, {})

    def precedes(self, data: bytes, size: int) -> bool:
        """Whether what comes after the first `size` bytes, which are the document, are its tensors and nothing else."""
        return len(data) == size + self.size and all(data.startswith(mark, size + at) for at, mark in self.marks)


def document_size(data: bytes) -> int:
    """Bytes before the first raw content; 0 where there is none, or where they are no fields of a request."""
    end, whole = 0, len(data)
    while end < whole:
        tag = data[end]
        if tag == _RAW:
            return end
        if tag & 7 != _LENGTH_GIVEN or tag > 0x7F or end + 1 == whole:
            return 0
        length = data[end + 1]
        if length < 0x80:
            end += 2 + length
            continue
        try:
            length, end = read_varint(data, end + 1)
        except ValueError:
            return 0
        end += length
    return 0
