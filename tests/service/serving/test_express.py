from __future__ import annotations

import asyncio
import gzip
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.api.scraped import samples_of, total
from tests.service.serving.wire_server import WireServer, call, post, wire_server

GET = b"GET /v2/health/live HTTP/1.1\r\nhost: here\r\n\r\n"


@pytest.fixture
async def wire(tmp_path: Path, redis: str) -> AsyncIterator[WireServer]:
    async with wire_server(tmp_path, redis=redis) as server:
        yield server


async def eventually(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_call_that_arrives_byte_by_byte_is_answered(wire: WireServer) -> None:
    request, doubled = call(3)
    async with wire.connected() as client:
        for byte in request:
            client.send(bytes([byte]))
            await client.writer.drain()
        answer = await client.answer()
    assert (answer.status, answer.doubled()) == (200, doubled)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert {"date", "x-request-id"} <= answer.headers.keys()


async def test_calls_and_other_requests_take_turns_on_a_connection(wire: WireServer) -> None:
    async with wire.connected() as client:
        for seed in range(3):
            client.send(GET)
            assert (await client.answer()).status == 200
            request, doubled = call(2 + seed, seed)
            client.send(request)
            assert (await client.answer()).doubled() == doubled


async def test_what_is_sent_ahead_is_answered_in_order(wire: WireServer) -> None:
    calls = [call(1 + seed % 4, seed) for seed in range(40)]
    async with wire.connected() as client:
        client.send(b"".join(GET + request for request, _ in calls))
        for _, doubled in calls:
            assert (await client.answer()).headers.get("content-length") in (None, "0")
            assert (await client.answer()).doubled() == doubled


async def test_who_sends_ahead_without_end_is_not_read_without_end(wire: WireServer) -> None:
    wire.engine.may_go.clear()
    request, doubled = call(4000)  # of 56 KB
    async with wire.connected() as client:
        client.send(request * 200)
        await asyncio.sleep(0.2)
        connection = next(iter(wire.server.server_state.connections))
        assert len(connection._ahead) < 1 << 20  # type: ignore[union-attr]
        wire.engine.may_go.set()
        for _ in range(200):
            assert (await client.answer()).doubled() == doubled


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: call(2, connection="close"),
        lambda: call(2, expect="100-continue"),
        lambda: call(2, content_encoding="identity"),
        lambda: call(2, connection="Keep-Alive"),
        lambda: call(2, path="/v2/models/doubler/versions/1/infer"),
        lambda: call(2, path="/v2/models/doubl%65r/infer"),
        lambda: call(2, path="/v2/models/doubler/infer?x=1"),
    ],
)
async def test_unusual_calls_are_answered_too(wire: WireServer, request_of: object) -> None:
    assert callable(request_of)
    request, doubled = request_of()
    async with wire.connected() as client:
        client.send(request)
        answer = await client.answer()
        if answer.status == 100:
            answer = await client.answer()
        assert answer.doubled() == doubled


async def test_bodies_in_chunks_and_compressed_ones_are_answered_too(wire: WireServer) -> None:
    request, doubled = call(2)
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    packed = gzip.compress(body)
    async with wire.connected() as client:
        client.send(b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", b""]))
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert (await client.answer()).doubled() == doubled
        client.send(b"\r\n".join([*lines, b"content-encoding: gzip", b"content-length: %d" % len(packed), b"", packed]))
        assert (await client.answer()).doubled() == doubled


async def test_errors_name_what_was_expected_and_leave_the_connection_open(wire: WireServer) -> None:
    good, doubled = call(1)
    async with wire.connected() as client:
        for request, status, message in (
            (call(1, path="/v2/models/tripler/infer")[0], 404, "model: expected one of doubler, got 'tripler'"),
            (post("/v2/models/doubler/infer", b"{"), 400, "body: expected JSON"),
            (post("/v2/models/doubler/infer", b"{}"), 422, "inputs: expected a list of tensors, got none"),
            (call(1)[0].replace(b"FP32", b"FP64"), 422, "inputs[0].datatype: expected FP32 of x, got 'FP64'"),
        ):
            client.send(request)
            answer = await client.answer()
            assert answer.status == status
            assert answer.error.startswith(message)
            assert answer.headers["content-type"] == "application/problem+json"
            client.send(good)
            assert (await client.answer()).doubled() == doubled


async def test_a_request_id_comes_back_where_it_is_legible(wire: WireServer) -> None:
    async with wire.connected() as client:
        client.send(call(1, x_request_id="from-me-7")[0])
        assert (await client.answer()).headers["x-request-id"] == "from-me-7"
        client.send(call(1, x_request_id='"); drop')[0])
        assert "drop" not in (await client.answer()).headers["x-request-id"]


async def test_a_body_that_is_too_large_is_refused_by_its_head(tmp_path: Path, redis: str) -> None:
    async with wire_server(tmp_path, redis=redis, max_body_bytes=1000) as wire, wire.connected() as client:
        client.send(call(500)[0])
        answer = await client.answer()
        assert (answer.status, answer.error) == (
            413,
            "body: expected at most 1000 bytes: send fewer frames, got " + answer.error.rpartition("got ")[2],
        )


async def test_bodies_that_there_is_no_room_for_are_turned_away(tmp_path: Path, redis: str) -> None:
    async with wire_server(tmp_path, redis=redis, max_inflight_bytes=10_000) as wire:
        wire.engine.may_go.clear()
        async with wire.connected() as first, wire.connected() as second:
            first.send(call(500)[0])
            await eventually(lambda: wire.engine.runs)
            second.send(call(500)[0])
            answer = await second.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            wire.engine.may_go.set()
            assert (await first.answer()).status == 200
        await eventually(lambda: wire.gateway.bodies.inflight_bytes == 0)


async def test_a_full_queue_turns_away_and_says_when_to_come_again(tmp_path: Path, redis: str) -> None:
    async with wire_server(tmp_path, redis=redis, max_queue_rows=4) as wire:
        wire.engine.may_go.clear()
        async with (
            wire.connected() as one,
            wire.connected() as two,
            wire.connected() as three,
            wire.connected() as four,
        ):
            for number, client in enumerate((one, two), 1):
                client.send(call(4)[0])
                await eventually(lambda number=number: wire.engine.runs == number)
            three.send(call(4)[0])
            await eventually(lambda: wire.gateway.repository.runner("doubler").queued_rows == 4)
            four.send(call(1)[0])
            answer = await four.answer()
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
            assert "4 rows wait and 1 more would pass the limit of 4" in answer.error
            wire.engine.may_go.set()
            assert [(await client.answer()).status for client in (one, two, three)] == [200] * 3


async def test_a_call_is_answered_at_its_deadline_and_the_next_one_is_its_own(tmp_path: Path, redis: str) -> None:
    async with wire_server(tmp_path, redis=redis, deadline_s=0.2) as wire, wire.connected() as client:
        wire.engine.may_go.clear()
        client.send(call(3, seed=1)[0])
        answer = await client.answer()
        assert (answer.status, answer.error[:43]) == (504, "expected an answer before the deadline, got")
        request, doubled = call(3, seed=2)
        client.send(request)
        await eventually(lambda: wire.engine.runs == 2)
        wire.engine.may_go.set()
        assert (await client.answer()).doubled() == doubled


async def test_who_goes_away_leaves_nothing_behind(wire: WireServer) -> None:
    wire.engine.may_go.clear()
    async with wire.connected() as waits:
        waits.send(call(1)[0])
        await eventually(lambda: wire.engine.runs)
    async with wire.connected() as halfway:
        halfway.send(call(9)[0][:-20])
        await eventually(lambda: wire.gateway.bodies.inflight_bytes > 100)
    await eventually(lambda: not wire.server.server_state.connections)
    assert wire.gateway.bodies.inflight_bytes == 0
    wire.engine.may_go.set()
    await eventually(lambda: wire.gateway.repository.runner("doubler")._batcher.idle)
    async with wire.connected() as client:
        request, doubled = call(2)
        client.send(request)
        assert (await client.answer()).doubled() == doubled
    found = samples_of(wire.gateway.metrics.render().decode())
    assert total(found, "cellsense_requests_in_flight") == 0
    counts = {
        status: total(found, "cellsense_request_duration_seconds_count", method="POST", status=status)
        for status in ("200", "499")
    }
    assert counts == {"200": 1, "499": 1}


async def test_a_body_that_does_not_arrive_in_time_is_given_up(tmp_path: Path, redis: str) -> None:
    async with wire_server(tmp_path, redis=redis, body_timeout_s=1.0) as wire, wire.connected() as client:
        client.send(call(9)[0][:-20])
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert answer.error.startswith("body: expected it within 1 s, got ")
        assert await client.closed()
        assert wire.gateway.bodies.inflight_bytes == 0


async def test_connections_that_nobody_uses_are_closed(wire: WireServer) -> None:
    async with wire.connected() as client:
        client.send(call(1)[0])
        await client.answer()
        connection = next(iter(wire.server.server_state.connections))
        connection.tidy(time.monotonic() + 4.0)  # type: ignore[union-attr]
        client.send(call(1)[0])
        await client.answer()
        connection.tidy(time.monotonic() + 6.0)  # type: ignore[union-attr]
        assert await client.closed()


async def test_what_is_in_flight_is_answered_before_the_end(wire: WireServer) -> None:
    wire.engine.may_go.clear()
    request, doubled = call(1)
    async with wire.connected() as idle, wire.connected() as client:
        client.send(request)
        await eventually(lambda: wire.engine.runs)
        wire.server.should_exit = True
        assert await idle.closed()
        wire.engine.may_go.set()
        answer = await client.answer()
        assert (answer.doubled(), answer.headers["connection"]) == (doubled, "close")
        assert await client.closed()


@given(plans=st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.integers(1, 400)))))
@settings(max_examples=15, deadline=None)
def test_however_the_bytes_are_cut_the_answers_are_the_same(
    redis: str, plans: list[tuple[list[int], list[int]]]
) -> None:
    async def all_of_them() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with wire_server(Path(folder), redis=redis) as wire:
                for kinds, cuts in plans:
                    await _cut(wire, kinds, cuts)

    asyncio.run(all_of_them())


async def _cut(wire: WireServer, kinds: list[int], cuts: list[int]) -> None:
    requests: list[tuple[bytes, bytes | None]] = [
        (GET, None) if kind == 0 else call(kind, seed) for seed, kind in enumerate(kinds)
    ]
    data = b"".join(request for request, _ in requests)
    async with wire.connected() as client:
        for cut in cuts:
            client.send(data[:cut])
            data = data[cut:]
            await asyncio.sleep(0)
        client.send(data)
        for _, doubled in requests:
            answer = await client.answer()
            assert answer.status == 200
            assert doubled is None or answer.doubled() == doubled
