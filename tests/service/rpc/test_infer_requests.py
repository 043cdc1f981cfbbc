"""Requests as bytes: read from what was remembered as they are read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as published

from service.engine.packed import Packed
from service.errors import InvalidInput, MalformedBody
from service.rpc.infer_answers import streamed, streamed_error, write_answer
from service.rpc.infer_requests import InferRequestReader, document_size
from service.rpc.open_inference_pb2 import ModelInferRequest
from tests.service.rpc.models import Models, X


def request(rows: int = 2, seed: int = 0, **fields: object) -> published.ModelInferRequest:
    numbers = np.random.default_rng(seed).standard_normal((rows, 3), np.float32)
    made = published.ModelInferRequest(model_name="double", raw_input_contents=[numbers.tobytes()], **fields)
    made.inputs.add(name="x", datatype="FP32", shape=[rows, 3])
    return made


def test_a_request_like_one_before_is_views_of_its_bytes() -> None:
    reader = InferRequestReader(Models())
    for seed in range(3):
        asked = request(seed=seed, id="7")
        asked.parameters["timeout"].int64_param = 250_000
        got = reader.read(asked.SerializeToString())
        assert got.inputs["x"].tobytes() == asked.raw_input_contents[0]
        assert (got.inputs["x"].shape, got.inputs["x"].dtype) == ((2, 3), np.float32)
        assert (got.message.id, got.timeout_s) == ("7", 0.25)
        assert isinstance(got.inputs, Packed) == (seed > 0)


def test_sizes_of_any_length_are_read() -> None:
    reader = InferRequestReader(Models())
    for rows in (1, 10, 11, 1365, 1366, 200_000, 1):
        for seed in range(2):
            asked = request(rows, seed)
            assert reader.read(asked.SerializeToString()).inputs["x"].tobytes() == asked.raw_input_contents[0]


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _raw_twice(data: bytes) -> bytes:
    return data + data[document_size(data) :]


def _another_size(data: bytes) -> bytes:
    asked = published.ModelInferRequest.FromString(data)
    asked.raw_input_contents[0] = asked.raw_input_contents[0][:-4]
    return asked.SerializeToString()


def _renamed_at_the_end(data: bytes) -> bytes:
    return data + published.ModelInferRequest(model_name="unknown").SerializeToString()


@pytest.mark.parametrize("change", [_cut, _raw_twice, _another_size, _renamed_at_the_end])
def test_what_is_wrong_is_said_as_if_nothing_were_remembered(change: Callable[[bytes], bytes]) -> None:
    data = request().SerializeToString()
    reader, fresh = InferRequestReader(Models()), InferRequestReader(Models())
    reader.read(data)
    with pytest.raises(InvalidInput) as expected:
        fresh.read(change(data))
    with pytest.raises(InvalidInput) as got:
        reader.read(change(data))
    assert str(got.value) == str(expected.value)
    reader.read(data)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a", b"\x0a\x80", b"\x0a" + b"\x80" * 11, b"\x0a\x01\xff", b"\x08\x01"])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    assert document_size(data) == 0
    with pytest.raises((MalformedBody, InvalidInput)):
        InferRequestReader(Models()).read(data)


def test_a_model_that_is_loaded_anew_is_asked_anew() -> None:
    models = Models()
    reader, data = InferRequestReader(models), request().SerializeToString()
    reader.read(data)
    models.load_anew(replace(X, shape=("B", 4)))
    with pytest.raises(InvalidInput, match=r"inputs\[0\].shape: expected \[-1, 4\] of x"):
        reader.read(data)


def test_answers_are_those_of_protobuf() -> None:
    reader = InferRequestReader(Models())
    for rows in (2, 2, 3, 2):
        outputs = {"y": np.ones((rows, 300), np.float32), "z": np.arange(rows)}
        answer = write_answer(reader.read(request(id="7").SerializeToString()), outputs)
        read = published.ModelInferResponse.FromString(answer)
        assert read.SerializeToString() == answer
        assert (read.model_name, read.model_version, read.id) == ("double", "1", "7")
        assert [(o.name, o.datatype, list(o.shape)) for o in read.outputs] == [
            ("y", "FP32", [rows, 300]),
            ("z", "INT64", [rows]),
        ]
        assert list(read.raw_output_contents) == [array.tobytes() for array in outputs.values()]
        within = published.ModelStreamInferResponse.FromString(streamed(answer))
        assert within.infer_response == read


def test_an_output_that_is_not_there_is_missed_every_time() -> None:
    reader = InferRequestReader(Models())
    asked = request()
    asked.outputs.add(name="w")
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"outputs\[0\].name: expected one of y, got 'w'"):
            write_answer(reader.read(asked.SerializeToString()), {"y": np.ones(1)})


def test_an_error_on_a_stream_says_of_which_request_it_is() -> None:
    error = InvalidInput("x", "a number", "none")
    data = ModelInferRequest(id="7").SerializeToString()
    answer = published.ModelStreamInferResponse.FromString(streamed_error(data, error))
    assert (answer.error_message, answer.infer_response.id) == (str(error), "7")
    answer = published.ModelStreamInferResponse.FromString(streamed_error(b"\xff", error))
    assert (answer.error_message, answer.infer_response.id) == (str(error), "")
