"""The binary form of `/v1/sense`: the same documents, with bytes in place of base64."""

from __future__ import annotations

import base64
import math
from typing import Any

import httpx
import msgpack
import orjson
import pytest

from service.api.media import MESSAGEPACK_TYPE
from tests.service.api.bad_frames import BAD
from tests.service.api.requests import Json, city_frame, city_scene, room_frame, room_scene

REQUEST = {
    "scenes": [city_scene(), room_scene()],
    "frames": [city_frame("a", scene="s0"), city_frame("b", 1, text="where is it?"), room_frame(), city_frame("c", 2)],
}


def binary(value: Any) -> Any:
    """The same document with the bytes of tensors and pictures raw."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each) if name in ("data", "camera") and isinstance(each, str) else binary(each)
            for name, each in value.items()
        }
    return [binary(each) for each in value] if isinstance(value, list) else value


async def post(
    gateway: httpx.AsyncClient, body: bytes, media_type: str = MESSAGEPACK_TYPE, **headers: str
) -> httpx.Response:
    return await gateway.post("/v1/sense", content=body, headers={"content-type": media_type, **headers})


@pytest.mark.parametrize("media_type", [MESSAGEPACK_TYPE, "application/msgpack", "application/x-msgpack; charset=x"])
async def test_answers_are_those_of_json_bit_by_bit(gateway: httpx.AsyncClient, media_type: str) -> None:
    expected = await post(gateway, orjson.dumps(REQUEST), "application/json", accept="*/*")
    found = await post(gateway, msgpack.packb(binary(REQUEST)), media_type, accept="*/*")
    assert (found.status_code, found.headers["content-type"]) == (200, MESSAGEPACK_TYPE)
    assert msgpack.unpackb(found.content) == expected.json()  # numbers, too: both forms have them as float64


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json", "application/json"),
        ("application/json, application/msgpack", "application/json"),
        ("application/vnd.msgpack;q=1, */*", MESSAGEPACK_TYPE),
        ("text/html, */*", MESSAGEPACK_TYPE),
    ],
)
async def test_who_asks_for_a_form_gets_it(gateway: httpx.AsyncClient, accept: str, media_type: str) -> None:
    answer = await post(gateway, msgpack.packb(binary(REQUEST)), accept=accept)
    assert answer.headers["content-type"] == media_type
    read = orjson.loads if media_type == "application/json" else msgpack.unpackb
    assert [result["status"] for result in read(answer.content)["results"]] == [200] * 4


async def test_base64_is_read_in_messagepack_too(gateway: httpx.AsyncClient) -> None:
    answer = await post(gateway, msgpack.packb(REQUEST), accept="application/json")
    assert [result["status"] for result in answer.json()["results"]] == [200] * 4


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_bad_frame_fails_as_it_does_in_json(gateway: httpx.AsyncClient, bad: Any) -> None:
    request: Json = {
        "scenes": [city_scene("good"), *bad.scenes],
        "frames": [city_frame("good", scene="good"), bad.frame],
    }
    try:
        body = msgpack.packb(request)
    except (OverflowError, ValueError):
        pytest.skip("not a value that MessagePack has")
    answer = await post(gateway, body, accept="application/json")
    expected = await post(gateway, orjson.dumps(request), "application/json")
    assert answer.json()["results"][1] == expected.json()["results"][1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b'{"frames": []}',
        msgpack.packb(binary(REQUEST))[:-1],
        msgpack.packb(binary(REQUEST)) + b"\x00",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\xa6frames\xa2\xff\xfe",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_is_not_messagepack_is_malformed(gateway: httpx.AsyncClient, body: bytes) -> None:
    answer = await post(gateway, body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["error"].startswith("body: expected MessagePack, got ")


@pytest.mark.parametrize(
    "value",
    [{1: 2}, {b"frames": []}, {"frames": [msgpack.ExtType(5, b"x")]}, {"frames": [msgpack.Timestamp(1)]}, 7, [], None],
    ids=repr,
)
async def test_what_is_no_request_is_refused(gateway: httpx.AsyncClient, value: Any) -> None:
    answer = await post(gateway, msgpack.packb(value))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timestamp_s": math.nan}, "frames[0].timestamp_s"),
        ({"timestamp_s": math.inf}, "frames[0].timestamp_s"),
        ({"timestamp_s": b"now"}, "frames[0].timestamp_s"),
        ({"carrier_hz": math.inf}, "frames[0].carrier_hz"),
        ({"distance_m": math.nan}, "frames[0].distance_m"),
        ({"ue": b"a"}, "frames[0].ue"),
        ({"text": b"where?"}, "frames[0].text"),
        ({"csi": b"raw"}, "frames[0].csi"),
    ],
)
async def test_what_json_cannot_say_is_refused_by_field(gateway: httpx.AsyncClient, change: Json, field: str) -> None:
    answer = await post(gateway, msgpack.packb(binary({"frames": [city_frame(**change)]})))
    assert answer.status_code == 422
    assert answer.json()["field"] == field


async def test_bytes_that_do_not_add_up_are_refused(gateway: httpx.AsyncClient) -> None:
    frame = binary(city_frame())
    frame["csi"]["data"] = frame["csi"]["data"][:-1]
    answer = await post(gateway, msgpack.packb({"frames": [frame]}))
    assert answer.json()["error"] == (
        "frames[0].csi.data: expected 16384 bytes for complex64 [32, 64], got 16383 bytes"
    )


async def test_labels_are_json_alone(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/v1/labels", content=b"\x80", headers={"content-type": MESSAGEPACK_TYPE})
    assert answer.status_code == 415
    assert answer.json()["error"] == f"Content-Type: expected application/json, got {MESSAGEPACK_TYPE}"
