"""The Open Inference Protocol over gRPC as NVIDIA's own client speaks it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as messages

from service.oip.codec import datatype
from tests.e2e.gateway_process import Served, free_port, serving
from tests.service.engine.artifacts import VOCABULARY, write_artifact
from tests.service.engine.generic import doubler_inputs, write_generic
from tests.service.engine.inputs import encode_inputs, fuse_inputs

Tensors = dict[str, NDArray[Any]]
FLAGS = ("--sessions", "2", "--intra-op-threads", "1", "--max-run-rows", "4")


@pytest.fixture(scope="module")
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def served(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("grpc")
    write_artifact(folder / "models" / "tiny")
    write_generic(folder / "models" / "doubler")
    port = address.rpartition(":")[2]
    with serving(folder / "log", "--models", str(folder / "models"), "--grpc-port", port, *FLAGS) as gateway:
        gateway.wait_for("/v2/health/ready", 200)
        yield gateway


@pytest.fixture
def client(served: Served, address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


def given(tensors: Tensors, kind: Any = triton.InferInput) -> list[Any]:
    inputs = []
    for name, array in tensors.items():
        tensor = kind(name, list(array.shape), datatype(array.dtype.str))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def test_it_says_what_it_is_and_what_it_serves(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("doubler")
    assert client.get_server_metadata().name == "cellsense"
    index = {model.name: model.state for model in client.get_model_repository_index().models}
    assert index == {"doubler": "READY", "tiny-encode": "READY", "tiny-fuse": "READY"}
    about = client.get_model_metadata("doubler", "1")
    assert [(t.name, t.datatype, list(t.shape)) for t in about.inputs] == [
        ("x", "FP32", [-1, 3]),
        ("picture", "UINT8", [-1, 2]),
    ]
    config = client.get_model_config("doubler").config
    assert (config.max_batch_size, config.backend) == (4, "onnxruntime")
    assert config.input[0].data_type == 11  # TYPE_FP32


@pytest.mark.parametrize("model", ["tiny-encode", "tiny-fuse", "doubler"])
def test_answers_are_those_of_the_protocol_over_http_bit_by_bit(
    client: triton.InferenceServerClient, served: Served, model: str
) -> None:
    tensors = {
        "tiny-encode": encode_inputs(0, frames=5, captures=2),
        "tiny-fuse": fuse_inputs(0, frames=9),
        "doubler": doubler_inputs(7),
    }[model]
    with triton_http.InferenceServerClient(served.url.removeprefix("http://")) as http:
        expected = http.infer(model, given(tensors, triton_http.InferInput))
    answer = client.infer(model, given(tensors), request_id="7")
    assert answer.get_response().id == "7"
    for output in answer.get_response().outputs:
        ours = answer.as_numpy(output.name)
        assert ours.dtype == expected.as_numpy(output.name).dtype
        assert ours.tobytes() == expected.as_numpy(output.name).tobytes()


def test_frames_need_no_captures_over_either_protocol(client: triton.InferenceServerClient, served: Served) -> None:
    """Asked again and again: what stands before the tensors is remembered from the first time on."""
    with triton_http.InferenceServerClient(served.url.removeprefix("http://")) as http:
        for seed in range(3):
            none = encode_inputs(seed, frames=3, captures=0)
            answers = [http.infer("tiny-encode", given(none, triton_http.InferInput))]
            answers.append(client.infer("tiny-encode", given(none)))
            for answer in answers:
                assert (answer.as_numpy("gate") == [[mask, 0, 0, 0] for mask in none["csi_mask"][:, 0]]).all()
                assert answer.as_numpy("embedding")[:, :1].tobytes() == none["distance"].tobytes()


def test_only_what_is_asked_for_is_answered(client: triton.InferenceServerClient) -> None:
    answer = client.infer("doubler", given(doubler_inputs(2)), outputs=[triton.InferRequestedOutput("brightness")])
    assert [output.name for output in answer.get_response().outputs] == ["brightness"]


def test_numbers_can_come_as_contents(served: Served, address: str) -> None:
    tensors = doubler_inputs(2)
    request = messages.ModelInferRequest(model_name="doubler")
    x = request.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    x.contents.fp32_contents.extend(tensors["x"].ravel().tolist())
    picture = request.inputs.add(name="picture", datatype="UINT8", shape=[2, 2])
    picture.contents.uint_contents.extend(tensors["picture"].ravel().tolist())
    with grpc.insecure_channel(address) as channel:
        answer = _model_infer(channel)(request)
        np.testing.assert_array_equal(
            np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, 3), 2 * tensors["x"]
        )
        picture.contents.uint_contents[0] = 256
        with pytest.raises(grpc.RpcError) as error:
            _model_infer(channel)(request)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == (
        "inputs[1].contents.uint_contents: expected numbers of UINT8, got one out of its range"
    )


def _model_infer(channel: grpc.Channel) -> Any:
    return channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=messages.ModelInferRequest.SerializeToString,
        response_deserializer=messages.ModelInferResponse.FromString,
    )


def test_a_stream_is_answered_in_its_order_and_outlives_an_error(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for turn in range(40):
        model = "tripler" if turn == 20 else "doubler"
        client.async_stream_infer(model, given(doubler_inputs(1 + turn % 5, turn)), request_id=str(turn))
    for turn in range(40):
        result, error = answers.get(timeout=10)
        if turn == 20:
            assert "model: expected one of doubler" in str(error)
            continue
        assert error is None
        assert result.get_response().id == str(turn)
        np.testing.assert_array_equal(result.as_numpy("double"), 2 * doubler_inputs(1 + turn % 5, turn)["x"])
    client.stop_stream()


def test_callers_at_the_same_time_get_their_own_answers(served: Served, address: str) -> None:
    def caller(seed: int) -> None:
        with triton.InferenceServerClient(address) as client:
            for turn in range(20):
                tensors = doubler_inputs(1 + (seed + turn) % 6, seed * 100 + turn)
                np.testing.assert_array_equal(
                    client.infer("doubler", given(tensors)).as_numpy("double"), 2 * tensors["x"]
                )

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(caller, range(8)))


def test_statistics_are_those_of_the_protocol_over_http(client: triton.InferenceServerClient, served: Served) -> None:
    client.infer("doubler", given(doubler_inputs(3)))
    (found,) = client.get_inference_statistics("doubler").model_stats
    (expected,) = httpx.get(f"{served.url}/v2/models/doubler/stats").json()["model_stats"]
    assert found.inference_count == expected["inference_count"] >= 3
    assert found.inference_stats.success.ns == expected["inference_stats"]["success"]["ns"]


def test_models_are_unloaded_and_loaded(client: triton.InferenceServerClient) -> None:
    client.unload_model("doubler")
    assert not client.is_model_ready("doubler")
    with pytest.raises(triton.InferenceServerException, match="model doubler is unavailable: not loaded"):
        client.infer("doubler", given(doubler_inputs(1)))
    client.load_model("doubler")
    assert client.is_model_ready("doubler")


def _renamed(inputs: list[Any]) -> None:
    inputs[0]._input.name = "y"


def _retyped(inputs: list[Any]) -> None:
    inputs[0]._input.datatype = "FP64"


def _reshaped(inputs: list[Any]) -> None:
    del inputs[0]._input.shape[:]


def _short(inputs: list[Any]) -> None:
    inputs[0]._raw_content = inputs[0]._raw_content[:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_renamed, "inputs[0].name: expected one of x, picture, got 'y'"),
        (_retyped, "inputs[0].datatype: expected FP32 of x, got 'FP64'"),
        (_reshaped, "inputs[0].shape: expected [-1, 3] of x, -1 being any size of 1 or more, got []"),
        (_short, "raw_input_contents[0]: expected 24 bytes for [2, 3] of FP32, got 23"),
        (lambda inputs: inputs.pop(), "inputs: expected the tensors x, picture, got none named picture"),
        (lambda inputs: inputs.append(inputs[0]), "inputs[2].name: expected each input once, got x again"),
    ],
)
def test_a_request_that_does_not_fit_is_told_what_was_expected(
    client: triton.InferenceServerClient, change: Callable[[list[Any]], object], message: str
) -> None:
    inputs = given(doubler_inputs(2))
    change(inputs)
    with pytest.raises(triton.InferenceServerException) as error:
        client.infer("doubler", inputs)
    assert (error.value.status(), error.value.message()) == ("StatusCode.INVALID_ARGUMENT", message)
    client.infer("doubler", given(doubler_inputs(1)))


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("tripler", "", "model: expected one of doubler, tiny-encode, tiny-fuse, got 'tripler'"),
        ("doubler", "9", "version: expected 1 of doubler, got '9'"),
    ],
)
def test_what_is_not_there_is_not_found(
    client: triton.InferenceServerClient, model: str, version: str, message: str
) -> None:
    with pytest.raises(triton.InferenceServerException) as error:
        client.infer(model, given(doubler_inputs(2)), model_version=version)
    assert (error.value.status(), error.value.message()) == ("StatusCode.NOT_FOUND", message)


def test_numbers_that_the_model_fails_on_are_the_callers(client: triton.InferenceServerClient) -> None:
    tensors = fuse_inputs(0, frames=2)
    tensors["text"] = np.full_like(tensors["text"], VOCABULARY)
    with pytest.raises(triton.InferenceServerException, match="expected numbers that tiny-fuse can run on") as error:
        client.infer("tiny-fuse", given(tensors))
    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_deadlines_of_the_caller_are_kept(client: triton.InferenceServerClient) -> None:
    with pytest.raises(triton.InferenceServerException) as error:
        client.infer("doubler", given(doubler_inputs(2000)), timeout=1)
    assert error.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_calls_are_counted(client: triton.InferenceServerClient, served: Served) -> None:
    series = (
        'cellsense_request_duration_seconds_count{method="gRPC",'
        'route="/inference.GRPCInferenceService/ModelInfer",status="OK"}'
    )

    def count() -> float:
        lines = httpx.get(f"{served.url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))

    before = count()
    client.infer("doubler", given(doubler_inputs(2)))
    assert count() == before + 1


def test_a_port_that_is_taken_ends_the_start(served: Served, address: str, tmp_path: Path) -> None:
    write_generic(tmp_path / "models" / "doubler")
    port = address.rpartition(":")[2]
    with serving(tmp_path / "log", "--models", str(tmp_path / "models"), "--grpc-port", port, *FLAGS) as gateway:
        assert gateway.process.wait(60) != 0
    assert "grpc_port: expected a port that is free" in (tmp_path / "log").read_text()
