from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.infer_heads import REMEMBERED, InferHead, InferHeads, parse

PATH = "/v2/models/tiny-encode/infer"


def head(*lines: str, path: str = PATH, method: str = "POST", version: str = "1.1", length: str = "7") -> bytes:
    given = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {length}", *lines]
    return "\r\n".join([*given, "", ""]).encode()


def test_a_plain_call_is_known() -> None:
    lines = ("Inference-Header-Content-Length: 5", "X-Request-Id: me", "Content-Type: application/octet-stream")
    assert parse(head(*lines)) == InferHead("tiny-encode", "", "/v2/models/{model}/infer", 7, "5", 5, b"me")
    versioned = parse(head(path="/v2/models/m/versions/1.0/infer"))
    assert versioned == InferHead("m", "1.0", "/v2/models/{model}/versions/{version}/infer", 7, None, 7, None)


@pytest.mark.parametrize(
    "other",
    [
        head(method="GET"),
        head(version="1.0"),
        head(path="/v2/models/m/ready"),
        head(path="/v2/models/m/infer?x=1"),
        head(path="/v2/models/m%20n/infer"),
        head(path="/v2/models/a/b/infer"),
        head(length="-1"),
        head(length="9" * 30),
        head("Transfer-Encoding: chunked"),
        head("Expect: 100-continue"),
        head("Connection: Upgrade", "Upgrade: h2c"),
        head("Connection: close"),
        head("Content-Encoding: gzip"),
        head("Content-Length: 8"),
        head("Inference-Header-Content-Length: 5", "Inference-Header-Content-Length: 6"),
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
    heads = InferHeads()
    for number in range(3 * REMEMBERED):
        found = heads.read(head(f"X-Request-Id: {number}"))
        assert found is not None
        assert found.request_id == str(number).encode()
    assert len(heads._known) <= REMEMBERED
