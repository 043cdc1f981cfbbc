"""The same answer, bit by bit, whichever interface is asked: real clients, a real server, the shipped artifacts."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as messages

from service.demo.recording import as_of, read_recording
from service.oip.codec import datatype
from service.settings import Settings
from tests.bench.sense.material import raw
from tests.e2e.gateway_process import Served, free_port, serving
from tests.service.engine.inputs import encode_inputs, fuse_inputs, radio_encode_inputs, radio_fuse_inputs

Tensors = dict[str, NDArray[Any]]
Json = dict[str, Any]
ROWS = 5
GRAPHS: dict[str, Tensors] = {
    "gated-fusion-encode": encode_inputs(1, ROWS, captures=2),
    "gated-fusion-fuse": fuse_inputs(2, ROWS),
    "scadf-moe-encode": radio_encode_inputs(3, ROWS),
    "scadf-moe-fuse": radio_fuse_inputs(4, ROWS),
}
SAMPLES = sorted(Settings().models.glob("*/sample*.jsonl.gz"))
CONTENTS = {"FP32": "fp32_contents", "INT64": "int64_contents", "UINT8": "uint_contents"}
MESSAGEPACK = "application/vnd.msgpack"


@dataclass(frozen=True)
class Addresses:
    """Of the clients of one server."""

    served: Served
    http: str
    grpc: str


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    port = free_port()
    with serving(tmp_path_factory.mktemp("parity") / "log", "--grpc-port", str(port)) as gateway:
        gateway.wait_for("/readyz", 200)
        yield Addresses(gateway, gateway.url.removeprefix("http://"), f"127.0.0.1:{port}")


@pytest.mark.parametrize("model", GRAPHS)
def test_answers_of_a_graph_are_the_same_bit_by_bit_over_every_form_of_the_protocol(
    addresses: Addresses, model: str
) -> None:
    tensors = GRAPHS[model]
    answers = {
        "HTTP, binary": _over_http(addresses, model, tensors, binary=True),
        "HTTP, JSON": _over_http(addresses, model, tensors, binary=False),
        "gRPC, raw contents": _over_grpc(addresses, model, tensors),
        "gRPC, typed contents": _over_grpc_with_contents(addresses, model, tensors),
        "gRPC, stream": _over_stream(addresses, model, tensors),
    }
    expected = answers.pop("HTTP, binary")
    assert all(np.isfinite(array).all() for array in expected.values())
    assert len({row.tobytes() for row in next(iter(expected.values()))}) == ROWS  # a mix-up would show
    for form, answer in answers.items():
        assert list(answer) == list(expected), form
        for name, array in answer.items():
            assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape), f"{form}: {name}"
            assert array.tobytes() == expected[name].tobytes(), f"{form}: {name}"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_answers_to_frames_are_the_same_in_json_and_in_messagepack(addresses: Addresses, sample: Path) -> None:
    exchanges, now_s = read_recording(sample), time.time()
    with httpx.Client(base_url=addresses.served.url, timeout=60.0) as client:
        for number, (one, other) in enumerate(
            zip(as_of(exchanges, now_s, "-json"), as_of(exchanges, now_s, "-pack"), strict=True)
        ):
            in_json = client.post("/v1/sense", json=one.request)
            in_pack = client.post(
                "/v1/sense",
                content=msgspec.msgpack.encode(raw(other.request)),
                headers={"content-type": MESSAGEPACK},
            )
            assert (in_json.status_code, in_pack.status_code) == (200, 200), in_json.text
            expected, answer = in_json.json(), msgspec.msgpack.decode(in_pack.content)
            for result in answer["results"]:
                assert result["ue"].endswith("-pack")
                result["ue"] = result["ue"].removesuffix("-pack") + "-json"
            assert {result["status"] for result in expected["results"]} == {200}
            assert answer == expected, f"request {number}"


def _over_http(addresses: Addresses, model: str, tensors: Tensors, binary: bool) -> Tensors:
    with triton_http.InferenceServerClient(addresses.http, network_timeout=60.0) as client:
        names = [output["name"] for output in client.get_model_metadata(model)["outputs"]]
        inputs = []
        for name, array in tensors.items():
            inputs.append(triton_http.InferInput(name, list(array.shape), datatype(array.dtype.str)))
            inputs[-1].set_data_from_numpy(array, binary_data=binary)
        outputs = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in names]
        result = client.infer(model, inputs, outputs=outputs)
        assert all(("data" in output) != binary for output in result.get_response()["outputs"])
        return {name: result.as_numpy(name) for name in names}


def _over_grpc(addresses: Addresses, model: str, tensors: Tensors) -> Tensors:
    with triton_grpc.InferenceServerClient(addresses.grpc) as client:
        return _arrays(client.infer(model, _inputs(tensors)))


def _over_stream(addresses: Addresses, model: str, tensors: Tensors) -> Tensors:
    answers: queue.Queue[tuple[triton_grpc.InferResult, Exception | None]] = queue.Queue()
    with triton_grpc.InferenceServerClient(addresses.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(model, _inputs(tensors))
        result, error = answers.get(timeout=60)
        client.stop_stream()
    assert error is None
    return _arrays(result)


def _over_grpc_with_contents(addresses: Addresses, model: str, tensors: Tensors) -> Tensors:
    request = messages.ModelInferRequest(model_name=model)
    for name, array in tensors.items():
        kind = datatype(array.dtype.str)
        tensor = request.inputs.add(name=name, datatype=kind, shape=array.shape)
        getattr(tensor.contents, CONTENTS[kind]).extend(array.ravel().tolist())
    with grpc.insecure_channel(addresses.grpc) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=messages.ModelInferRequest.SerializeToString,
            response_deserializer=messages.ModelInferResponse.FromString,
        )
        return _arrays(triton_grpc.InferResult(infer(request)))


def _inputs(tensors: Tensors) -> list[triton_grpc.InferInput]:
    inputs = []
    for name, array in tensors.items():
        inputs.append(triton_grpc.InferInput(name, list(array.shape), datatype(array.dtype.str)))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def _arrays(result: triton_grpc.InferResult) -> Tensors:
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}
