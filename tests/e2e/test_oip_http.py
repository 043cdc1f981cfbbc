"""The Open Inference Protocol as NVIDIA's own client speaks it: a real client, a real server, real ONNX models."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import orjson
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray

from service.contract.tensors import ENCODE_INPUTS
from service.oip.codec import datatype
from tests.e2e.gateway_process import Served, serving
from tests.service.engine.artifacts import VOCABULARY, write_artifact
from tests.service.engine.generic import doubler_inputs, write_generic
from tests.service.engine.inputs import encode_inputs, fuse_inputs

Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_artifact(folder / "tiny")
    write_generic(folder / "doubler")
    return folder


@pytest.fixture(scope="module")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "log"
    flags = ("--models", str(models), "--sessions", "2", "--intra-op-threads", "1", "--max-run-rows", "4")
    with serving(log, *flags) as gateway:
        gateway.wait_for("/v2/health/ready", 200)
        yield gateway


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.url.removeprefix("http://"), concurrency=8) as client:
        yield client


def given(tensors: Tensors, binary: bool = True) -> list[triton.InferInput]:
    inputs = []
    for name, array in tensors.items():
        tensor = triton.InferInput(name, list(array.shape), datatype(array.dtype.str))
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return inputs


def run(folder: Path, graph: str, tensors: Tensors) -> Tensors:
    """What ONNX Runtime itself says."""
    session = ort.InferenceSession((folder / f"{graph}.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, tensors), strict=True))


def test_it_says_what_it_is_and_what_it_serves(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    about = client.get_server_metadata()
    assert about["name"] == "cellsense"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(about["extensions"])
    index = {model["name"]: model["state"] for model in client.get_model_repository_index()}
    assert index == {"doubler": "READY", "tiny-encode": "READY", "tiny-fuse": "READY"}
    assert client.is_model_ready("tiny-encode")
    assert client.is_model_ready("tiny-encode", "1.0.0")
    assert not client.is_model_ready("tiny")


def test_a_model_says_what_it_takes_and_gives(client: triton.InferenceServerClient) -> None:
    about = client.get_model_metadata("tiny-encode")
    assert about["versions"] == ["1.0.0"]
    assert about["inputs"][0] == {"name": "camera", "datatype": "UINT8", "shape": [-1, 3, 96, 192]}
    assert [tensor["name"] for tensor in about["inputs"]] == [spec.name for spec in ENCODE_INPUTS]
    config = client.get_model_config("doubler")
    assert config["max_batch_size"] == 4
    assert config["input"][0] == {"name": "x", "data_type": "TYPE_FP32", "dims": [3]}


@pytest.mark.parametrize("rows", [1, 3, 11])
def test_json_and_binary_answers_are_those_of_the_model_itself_bit_by_bit(
    client: triton.InferenceServerClient, models: Path, rows: int
) -> None:
    tensors = doubler_inputs(rows)
    expected = run(models / "doubler", "model", tensors)
    for binary_in in (True, False):
        for binary_out in (True, False):
            outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in expected]
            answer = client.infer("doubler", given(tensors, binary_in), outputs=outputs, request_id="7")
            assert answer.get_response()["id"] == "7"
            for name, array in expected.items():
                np.testing.assert_array_equal(answer.as_numpy(name), array)


def test_the_graphs_of_sensing_artifacts_are_models_too(client: triton.InferenceServerClient, models: Path) -> None:
    for graph, tensors in (("encode", encode_inputs(0, frames=5, captures=2)), ("fuse", fuse_inputs(0, frames=9))):
        expected = run(models / "tiny", graph, tensors)
        answer = client.infer(f"tiny-{graph}", given(tensors))
        for name, array in expected.items():
            np.testing.assert_allclose(answer.as_numpy(name), array, rtol=1e-6, atol=1e-6)


def test_callers_at_the_same_time_get_their_own_answers(served: Served) -> None:
    def caller(seed: int) -> None:
        with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
            for turn in range(20):
                tensors = doubler_inputs(1 + (seed + turn) % 6, seed * 100 + turn)
                answer = client.infer("doubler", given(tensors))
                np.testing.assert_array_equal(answer.as_numpy("double"), 2 * tensors["x"])

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(caller, range(8)))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_request_is_read(client: triton.InferenceServerClient, algorithm: str) -> None:
    tensors = doubler_inputs(64)
    answer = client.infer("doubler", given(tensors), request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(answer.as_numpy("double"), 2 * tensors["x"])


def test_asynchronous_calls_of_the_client_work(client: triton.InferenceServerClient) -> None:
    tensors = doubler_inputs(2)
    calls = [client.async_infer("doubler", given(tensors)) for _ in range(8)]
    for call in calls:
        np.testing.assert_array_equal(call.get_result().as_numpy("double"), 2 * tensors["x"])


def test_statistics_count_requests_rows_and_runs(client: triton.InferenceServerClient) -> None:
    (before,) = client.get_inference_statistics("doubler")["model_stats"]
    for rows in (1, 3, 10):
        client.infer("doubler", given(doubler_inputs(rows)))
    with pytest.raises(triton.InferenceServerException):
        client.infer("doubler", given({"x": np.zeros((1, 3), np.float32)}))
    (after,) = client.get_inference_statistics("doubler", "1")["model_stats"]
    assert after["inference_count"] - before["inference_count"] == 14
    assert after["execution_count"] - before["execution_count"] == 5  # 10 rows are cut into 4 + 3 + 3
    for part in ("success", "queue"):
        counted = after["inference_stats"][part]["count"] - before["inference_stats"][part]["count"]
        assert counted == 3
        assert after["inference_stats"][part]["ns"] > before["inference_stats"][part]["ns"]
    assert {batch["batch_size"] for batch in after["batch_stats"]} >= {1, 3, 4}
    assert len(client.get_inference_statistics()["model_stats"]) == 3


def test_models_are_unloaded_and_loaded_and_found_where_they_are_dropped(
    client: triton.InferenceServerClient, models: Path
) -> None:
    client.unload_model("doubler")
    assert not client.is_model_ready("doubler")
    with pytest.raises(triton.InferenceServerException, match=r"\[400\] model doubler is unavailable: not loaded"):
        client.infer("doubler", given(doubler_inputs(1)))
    client.load_model("doubler")
    assert client.is_model_ready("doubler")
    write_generic(models / "late", "late", version="7")
    try:
        assert [m["state"] for m in client.get_model_repository_index() if m["name"] == "late"] == ["UNAVAILABLE"]
        client.load_model("late")
        answer = client.infer("late", given(doubler_inputs(2)), model_version="7")
        assert answer.get_response()["model_version"] == "7"
        client.unload_model("late")
    finally:
        shutil.rmtree(models / "late")
    client.unload_model("tiny-fuse")  # frames are answered by it still, and both of its graphs go together
    assert not client.is_model_ready("tiny-encode")
    client.load_model("tiny-fuse")
    assert client.is_model_ready("tiny-encode")


def test_an_artifact_that_does_not_fit_leaves_the_one_that_is_served(
    client: triton.InferenceServerClient, models: Path
) -> None:
    intact = (models / "doubler" / "model.onnx").read_bytes()
    (models / "doubler" / "model.onnx").write_bytes(intact + b"x")
    try:
        with pytest.raises(triton.InferenceServerException, match=r"\[400\] .*expected SHA-256"):
            client.load_model("doubler")
    finally:
        (models / "doubler" / "model.onnx").write_bytes(intact)
    client.infer("doubler", given(doubler_inputs(1)))


def _body(tensors: Tensors) -> tuple[bytes, dict[str, str]]:
    body, length = triton.InferenceServerClient.generate_request_body(given(tensors))
    return body, {"Inference-Header-Content-Length": str(length)}


def _renamed(document: dict[str, Any]) -> None:
    document["inputs"][0]["name"] = "y"


def _retyped(document: dict[str, Any]) -> None:
    document["inputs"][0]["datatype"] = "FP64"


def _reshaped(document: dict[str, Any]) -> None:
    document["inputs"][0]["shape"] = [2, 4]


def _resized(document: dict[str, Any]) -> None:
    document["inputs"][0]["parameters"]["binary_data_size"] = 23


def _contradicting(document: dict[str, Any]) -> None:
    document["inputs"][0] |= {"shape": [3, 3], "parameters": {"binary_data_size": 36}}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (_renamed, 422, r"inputs\[0\].name: expected one of x, picture, got 'y'"),
        (_retyped, 422, r"inputs\[0\].datatype: expected FP32 of x, got 'FP64'"),
        (_reshaped, 422, r"inputs\[0\].shape: expected \[-1, 3\] of x"),
        (_resized, 422, r"binary_data_size: expected 24 bytes for \[2, 3\] of FP32, got 23"),
        (_contradicting, 422, r"inputs\[1\].shape\[0\]: expected 3 as in the tensors before it, got 2 in picture"),
        (lambda document: document.clear(), 422, "inputs: expected a list of tensors, got none"),
    ],
)
def test_a_request_that_does_not_fit_is_told_what_was_expected(
    served: Served, change: Callable[[dict[str, Any]], object], status: int, message: str
) -> None:
    body, headers = _body(doubler_inputs(2))
    length = int(headers["Inference-Header-Content-Length"])
    document = orjson.loads(body[:length])
    change(document)
    header = orjson.dumps(document)
    headers = {"Inference-Header-Content-Length": str(len(header))}
    _refused(served, header + body[length:], headers, status, message)


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"Inference-Header-Content-Length": "100000"}, 400, "Inference-Header-Content-Length: expected at most the"),
        ({"Inference-Header-Content-Length": "-1"}, 400, "Inference-Header-Content-Length: expected at most the"),
        ({"Inference-Header-Content-Length": "9" * 5000}, 400, "Inference-Header-Content-Length: expected at most"),
        ({"Inference-Header-Content-Length": "many"}, 400, "Inference-Header-Content-Length: expected at most the"),
        ({"Inference-Header-Content-Length": "7"}, 400, "body: expected JSON in its first 7 bytes"),
        ({}, 400, "body: expected JSON"),
        ({"Content-Encoding": "br"}, 415, "Content-Encoding: expected none, gzip or deflate, got br"),
        ({"Content-Encoding": "gzip"}, 422, "body: expected bytes compressed by gzip"),
    ],
)
def test_headers_that_do_not_fit_are_told_what_was_expected(
    served: Served, headers: dict[str, str], status: int, message: str
) -> None:
    _refused(served, _body(doubler_inputs(2))[0], headers, status, message)


def _refused(served: Served, body: bytes, headers: dict[str, str], status: int, message: str) -> None:
    with httpx.Client(base_url=served.url) as http:
        answer = http.post("/v2/models/doubler/infer", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert message.replace("\\", "") in answer.json()["error"]
        good, headers = _body(doubler_inputs(1))
        assert http.post("/v2/models/doubler/infer", content=good, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v2/models/tripler/infer", "model: expected one of doubler, tiny-encode, tiny-fuse, got 'tripler'"),
        ("/v2/models/doubler/versions/9/infer", "version: expected 1 of doubler, got '9'"),
        ("/v2/models/doubler/editions/1/infer", "POST /v2/models/doubler/editions/1/infer: Not Found"),
    ],
)
def test_what_is_not_there_is_not_found(served: Served, path: str, message: str) -> None:
    answer = httpx.post(served.url + path, json={"inputs": []})
    assert answer.status_code == 404
    assert answer.json()["error"].startswith(message)


def test_numbers_that_the_model_fails_on_fail_their_caller_alone(served: Served) -> None:
    def caller(seed: int) -> str:
        tensors = fuse_inputs(seed, frames=1)
        if seed % 4 == 0:
            tensors["text"] = np.full_like(tensors["text"], VOCABULARY)
        with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
            try:
                client.infer("tiny-fuse", given(tensors))
            except triton.InferenceServerException as error:
                return f"{error.status()} {error.message()}"
        return "answered"

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(caller, range(32)))
    for seed, answer in enumerate(answers):
        expected = "400 inputs: expected numbers that tiny-fuse can run on" if seed % 4 == 0 else "answered"
        assert answer.startswith(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scene_index": np.array([0, 3, 1])}, "inputs.scene_index: expected rows from 0 to 2, got 0 to 3"),
        ({"scene_index": np.array([0, -1, 1])}, "inputs.scene_index: expected numbers from 0 to inf, got -1 to 1"),
    ],
)
def test_an_index_that_points_to_nothing_is_refused(
    client: triton.InferenceServerClient, change: Tensors, message: str
) -> None:
    with pytest.raises(triton.InferenceServerException) as error:
        client.infer("tiny-encode", given({**encode_inputs(0, 3, 2), **change}))
    assert (error.value.status(), error.value.message()) == ("422", message)


def test_a_deadline_of_the_caller_is_kept(served: Served) -> None:
    document = {
        "inputs": [
            {"name": "x", "shape": [2000, 3], "datatype": "FP32", "data": [1.5] * 6000},
            {"name": "picture", "shape": [2000, 2], "datatype": "UINT8", "data": [1] * 4000},
        ],
        "parameters": {"timeout": 1},
    }
    answer = httpx.post(f"{served.url}/v2/models/doubler/infer", json=document)
    assert answer.status_code == 504
    assert answer.json()["error"].startswith("expected an answer before the deadline")
