from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.infer_heads import InferHead, infer_head
from service.api.media import JSON, MESSAGEPACK
from service.api.plain_heads import REMEMBERED, KnownHeads, PlainHead, parse
from service.api.sense_calls import SenseHead, sense_head

PATH = "/v2/models/tiny-encode/infer"
SENSE = "/v1/sense"


def head(*lines: str, path: str = PATH, method: str = "POST", version: str = "1.1", length: str = "7") -> bytes:
    given = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {length}", *lines]
    return "\r\n".join([*given, "", ""]).encode()


def infer(*lines: str, path: str = PATH) -> InferHead | None:
    return KnownHeads(infer_head).read(head(*lines, path=path))


def sense(*lines: str, path: str = SENSE, length: str = "7") -> SenseHead | None:
    return KnownHeads(sense_head).read(head(*lines, path=path, length=length))


def test_an_infer_call_is_known() -> None:
    lines = ("Inference-Header-Content-Length: 5", "X-Request-Id: me", "Content-Type: application/octet-stream")
    found = infer(*lines)
    assert found == InferHead("tiny-encode", "", "/v2/models/{model}/infer", 7, "5", 5, b"me")
    assert getattr(found, "tensors_at", None) == 5
    versioned = infer(path="/v2/models/m/versions/1.0/infer")
    assert versioned == InferHead("m", "1.0", "/v2/models/{model}/versions/{version}/infer", 7, None, 7, None)
    assert getattr(versioned, "tensors_at", None) == 0


@pytest.mark.parametrize(
    "path",
    ["/v2/models/m/ready", "/v2/models/m/infer?x=1", "/v2/models/m%20n/infer", "/v2/models/a/b/infer", SENSE],
)
def test_other_paths_are_no_infer_calls(path: str) -> None:
    assert infer(path=path) is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("Content-Type: application/json",), SenseHead(JSON, JSON, 7, None)),
        (("Content-Type: application/vnd.msgpack", "X-Request-Id: me"), SenseHead(MESSAGEPACK, MESSAGEPACK, 7, b"me")),
        (("Content-Type: application/msgpack", "Accept: application/json"), SenseHead(MESSAGEPACK, JSON, 7, None)),
    ],
)
def test_a_batch_of_frames_is_known(lines: tuple[str, ...], expected: SenseHead) -> None:
    assert sense(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "path", "length"),
    [
        ((), SENSE, "7"),
        (("Content-Type: text/plain",), SENSE, "7"),
        (("Content-Type: application/json",), f"{SENSE}/", "7"),
        (("Content-Type: application/json",), PATH, "7"),
        (("Content-Type: application/json",), SENSE, str(JSON.at_once_bytes + 1)),
    ],
    ids=["no type", "other type", "other path", "an infer call", "read in a thread"],
)
def test_what_the_framework_answers_is_left_to_it(lines: tuple[str, ...], path: str, length: str) -> None:
    assert sense(*lines, path=path, length=length) is None


@pytest.mark.parametrize(
    "other",
    [
        head(method="GET"),
        head(version="1.0"),
        head(length="-1"),
        head(length="9" * 30),
        head("Transfer-Encoding: chunked"),
        head("Expect: 100-continue"),
        head("Connection: Upgrade", "Upgrade: h2c"),
        head("Connection: close"),
        head("Content-Encoding: gzip"),
        head("Content-Length: 8"),
        head("Inference-Header-Content-Length: 5", "Inference-Header-Content-Length: 6"),
        head("Accept: application/json", "Accept: application/msgpack"),
        head("a line without a colon"),
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_server(other: bytes) -> None:
    assert parse(other) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_it(noise: bytes) -> None:
    assert parse(noise + b"\r\n\r\n") is None
    parse(head().replace(b"Host: x", noise))


def test_heads_that_differ_every_time_do_not_fill_the_memory() -> None:
    heads: KnownHeads[PlainHead] = KnownHeads(lambda plain: plain)
    for number in range(3 * REMEMBERED):
        found = heads.read(head(f"X-Request-Id: {number}"))
        assert found is not None
        assert found.request_id == str(number).encode()
        assert len(heads._known) <= REMEMBERED
