from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import orjson
import pytest
import tritonclient.http as triton

from service.contract.tensors import TensorSpec
from service.errors import InvalidInput, MalformedBody
from service.oip.codec import InferRequest, RequestReader, datatype, write_response

IMAGE = TensorSpec("image", "uint8", ("B", 3, 2), "frame, channel, column", "1")
WEIGHT = TensorSpec("weight", "float32", ("B",), "frame", "1")
INDEX = TensorSpec("index", "int64", ("B", "T"), "frame, step", "1")
SPECS = (IMAGE, WEIGHT, INDEX)
TENSORS = {
    "image": np.arange(12, dtype=np.uint8).reshape(2, 3, 2),
    "weight": np.array([0.5, -1.25], np.float32),
    "index": np.array([[1, -(2**62)], [3, 4]]),
}


def _body(binary: bool | dict[str, bool] = True, outputs: Any = None, **more: Any) -> tuple[bytes, str | None]:
    """As NVIDIA's own client writes it."""
    inputs = []
    for name, array in TENSORS.items():
        tensor = triton.InferInput(name, list(array.shape), datatype(array.dtype.str))
        tensor.set_data_from_numpy(array, binary_data=binary if isinstance(binary, bool) else binary[name])
        inputs.append(tensor)
    body, length = triton.InferenceServerClient.generate_request_body(inputs, outputs=outputs, **more)
    return (body if isinstance(body, bytes) else body.encode()), None if length is None else str(length)


def _json(**changes: Any) -> bytes:
    inputs = [
        {"name": name, "shape": list(a.shape), "datatype": datatype(a.dtype.str), "data": a.ravel().tolist()}
        for name, a in TENSORS.items()
    ]
    inputs[1] |= changes
    return orjson.dumps({"inputs": inputs})


@pytest.mark.parametrize("binary", [True, False, {"image": True, "weight": False, "index": True}])
def test_what_the_client_sends_is_what_is_read(binary: bool | dict[str, bool]) -> None:
    request = RequestReader(SPECS).read(*_body(binary, request_id="seven"))
    assert request.id == "seven"
    assert set(request.inputs) == set(TENSORS)
    for name, array in TENSORS.items():
        assert request.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(request.inputs[name], array)


def test_binary_tensors_are_views_of_the_body() -> None:
    body, length = _body()
    held = bytearray(body)
    request = RequestReader(SPECS).read(held, length)
    held[-1] ^= 0x40
    assert request.inputs["index"][1, 1] != 4


@pytest.mark.parametrize("binary", [True, False])
def test_client_reads_what_is_answered(binary: bool) -> None:
    asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("place", "count")]
    request = RequestReader(SPECS).read(*_body(outputs=asked, request_id="seven"))
    outputs = {
        "place": np.array([[1.5, -2.0]], np.float32),
        "count": np.array([2**40]),
        "unasked": np.zeros(1, np.int8),
    }
    parts, length = write_response(request, outputs, "tiny", "3")
    assert (length is not None) is binary
    answer = triton.InferenceServerClient.parse_response_body(b"".join(parts), header_length=length)
    assert {key: answer.get_response()[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "tiny", "model_version": "3", "id": "seven",
    }  # fmt: skip
    for name in ("place", "count"):
        np.testing.assert_array_equal(answer.as_numpy(name), outputs[name])
    assert answer.as_numpy("more") is None


def test_all_outputs_are_answered_where_none_is_named() -> None:
    request = RequestReader(SPECS).read(*_body())
    assert request.outputs is None
    assert request.binary_outputs  # as the client then asks by itself
    parts, length = write_response(request, {"a": np.zeros((2, 2)), "b": np.ones(1, bool)}, "tiny", "1")
    answer = triton.InferenceServerClient.parse_response_body(b"".join(parts), header_length=length)
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["a", "b"]


def test_header_of_length_zero_is_the_raw_data_of_the_only_input() -> None:
    request = RequestReader((IMAGE,)).read(TENSORS["image"].tobytes(), "0")
    np.testing.assert_array_equal(request.inputs["image"], TENSORS["image"])
    with pytest.raises(InvalidInput, match="a multiple of the 6 bytes of a row of image, got 7 bytes"):
        RequestReader((IMAGE,)).read(bytes(7), "0")
    with pytest.raises(MalformedBody, match="only a model with one input"):
        RequestReader(SPECS).read(bytes(12), "0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "heft"}, r"^inputs\[1\].name: expected one of image, weight, index, got 'heft'$"),
        ({"name": "image"}, r"^inputs\[1\].name: expected each input once, got image again$"),
        ({"datatype": "FP64"}, r"^inputs\[1\].datatype: expected FP32 of weight, got 'FP64'$"),
        (
            {"shape": [2, 1]},
            r"^inputs\[1\].shape: expected \[-1\] of weight, -1 .* 1 or more, got \[2, 1\]$",
        ),
        ({"shape": [0]}, r"^inputs\[1\].shape: .* got \[0\]$"),
        ({"shape": [True]}, r"^inputs\[1\].shape: .* got \[True\]$"),
        ({"shape": "2"}, r"^inputs\[1\].shape: .* got '2'$"),
        ({"shape": [3]}, r"^inputs\[1\].shape\[0\]: expected 2 as in the tensors before it, got 3 in weight$"),
        ({"data": ["a", "b"]}, r"^inputs\[1\].data: expected numbers of FP32, flat or nested"),
        ({"data": None}, r"^inputs\[1\].data: expected 2 numbers|^inputs\[1\].data: expected numbers of FP32"),
        ({"data": [[1], [2, 3]]}, r"^inputs\[1\].data: expected numbers of FP32, flat or nested"),
        ({"data": [1, 1e300]}, r"^inputs\[1\].data: expected numbers of FP32, flat or nested"),
        (
            {"parameters": {"binary_data_size": 8}},
            "^body: expected binary tensors of 8 bytes in all, as its document says, got 0 bytes after that$",
        ),
        ({"parameters": {"binary_data_size": 7}}, r"expected 8 bytes for \[2\] of FP32, got 7$"),
        ({"parameters": {"binary_data_size": "8"}}, r"expected 8 bytes for \[2\] of FP32, got '8'$"),
        ({"parameters": {"shared_memory_region": "r"}}, r"no shared memory, which is not offered"),
        ({"parameters": []}, r"^inputs\[1\].parameters: expected an object, got list$"),
    ],
)
def test_tensor_that_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        RequestReader(SPECS).read(_json(**changes), None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: expected JSON"),
        (gzip.compress(b"{}"), "body: expected JSON"),
        (b"[]", "body: expected a JSON object, got list"),
        (b"{}", "inputs: expected a list of tensors, got none"),
        (b'{"inputs": 5}', "inputs: expected a list of tensors, got int"),
        (b'{"inputs": [5]}', r"inputs\[0\]: expected an object, got int"),
        (b'{"inputs": [{"name": []}]}', r"inputs\[0\].name: expected one of image"),
    ],
)
def test_body_that_is_none_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        RequestReader(SPECS).read(body, None)


@pytest.mark.parametrize("length", ["-1", "9999", "x", "1_0", ""])
def test_header_length_beyond_the_body_is_refused(length: str) -> None:
    with pytest.raises(MalformedBody, match=r"^Inference-Header-Content-Length: expected at most the \d+ bytes"):
        RequestReader(SPECS).read(_body()[0], length)


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    body, length = _body()
    with pytest.raises(
        InvalidInput, match="expected binary tensors of 52 bytes in all, as its document says, got 55 bytes after"
    ):
        RequestReader(SPECS).read(body + b"abc", length)


def test_missing_input_is_named() -> None:
    lacking = orjson.dumps({"inputs": orjson.loads(_json())["inputs"][:2]})
    with pytest.raises(InvalidInput, match=r"^inputs: expected the tensors .*, got none named index$"):
        RequestReader(SPECS).read(lacking, None)


def test_output_that_there_is_not_is_named() -> None:
    asked = InferRequest("", {}, {"place": True, "colour": True}, binary_outputs=True)
    with pytest.raises(InvalidInput, match=r"^outputs: expected some of place, got 'colour'$"):
        write_response(asked, {"place": np.zeros(1, np.float32)}, "tiny", "1")


def test_a_document_that_is_sent_again_is_read_with_the_bytes_that_follow_it() -> None:
    reader = RequestReader(SPECS)
    body, length = _body()
    again = bytearray(body)
    again[-48] ^= 0xFF  # within `image`
    first, second = reader.read(body, length), reader.read(bytes(again), length)
    np.testing.assert_array_equal(first.inputs["image"], TENSORS["image"])
    assert (second.inputs["image"] != TENSORS["image"]).sum() == 1
    np.testing.assert_array_equal(second.inputs["index"], TENSORS["index"])
    with pytest.raises(InvalidInput, match="got 51 bytes after"):
        reader.read(body[:-1], length)


def test_numbers_within_a_document_cannot_be_changed_for_who_sends_it_next() -> None:
    reader = RequestReader(SPECS)
    body = _json()
    with pytest.raises(ValueError, match="read-only"):
        reader.read(body, None).inputs["weight"][0] = 7
    np.testing.assert_array_equal(reader.read(body, None).inputs["weight"], TENSORS["weight"])


@pytest.mark.parametrize(("timeout", "expected_s"), [(0, None), (1_500_000, 1.5)])
def test_a_timeout_is_microseconds(timeout: int, expected_s: float | None) -> None:
    request = RequestReader(SPECS).read(*_body(timeout=timeout or None))
    assert request.timeout_s == expected_s


@pytest.mark.parametrize("timeout", [-1, "soon", True, 1.5])
def test_a_timeout_that_is_none_is_refused(timeout: object) -> None:
    document = orjson.loads(_json()) | {"parameters": {"timeout": timeout}}
    with pytest.raises(InvalidInput, match=r"^parameters\.timeout: expected microseconds, 0 or more, got"):
        RequestReader(SPECS).read(orjson.dumps(document), None)
