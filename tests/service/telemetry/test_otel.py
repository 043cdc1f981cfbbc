"""Spans of a real gateway, and their way to a collector over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.api.app import create_app
from service.metrics.compute import STAGES
from service.settings import Settings
from service.telemetry.otel import OtelTracer
from service.telemetry.tracer import Tracer
from service.telemetry.tracing import make_tracer
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import client_of, fake_engines
from tests.service.api.requests import NOW_S, city_frame, room_frame, room_scene

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with EmbeddedRedis() as server:
        yield server.url


@asynccontextmanager
async def traced_gateway(redis: str, tracer: Tracer | None) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(redis=redis, deadline_s=30.0)
    app = create_app(settings, fake_engines(), now_s=lambda: NOW_S, tracer=tracer)
    async with app.router.lifespan_context(app), client_of(app) as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        yield client


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """The URL of an OTLP collector, and the spans that it has got."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            request = ExportTraceServiceRequest.FromString(content)
            spans.extend(s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests need no access log."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
        finally:
            server.shutdown()
            thread.join()


def recording() -> tuple[OtelTracer, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OtelTracer(provider), exporter


def spans_of(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def test_stages_are_children_of_the_request_and_that_of_its_caller(redis: str) -> None:
    tracer, exporter = recording()
    async with traced_gateway(redis, tracer) as gateway:
        exporter.clear()
        body = {"scenes": [room_scene()], "frames": [city_frame(), room_frame()]}
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        assert (await gateway.post("/v1/sense", json=body, headers=headers)).status_code == 200
        (request,) = spans_of(exporter, "POST /v1/sense")
        stages = [span for span in exporter.get_finished_spans() if span is not request]
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, SPAN)
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/sense",
        "http.response.status_code": 200,
    }
    assert sorted(span.name for span in stages) == sorted(STAGES)
    for span in stages:
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert request.start_time - 2e6 <= span.start_time <= span.end_time <= request.end_time + 2e6, span.name
    by_name = {span.name: span for span in stages}
    assert by_name["queue_encode"].end_time == pytest.approx(by_name["encode"].start_time, abs=2e6)


async def test_requests_that_share_a_batch_keep_their_own_spans(redis: str) -> None:
    tracer, exporter = recording()
    async with traced_gateway(redis, tracer) as gateway:
        exporter.clear()
        await asyncio.gather(
            *(gateway.post("/v1/sense", json={"frames": [city_frame(f"of-{i}", seed=i)]}) for i in range(5))
        )
        requests = spans_of(exporter, "POST /v1/sense")
        fused = spans_of(exporter, "fuse")
    assert len({span.context.trace_id for span in requests}) == 5
    assert {span.parent.span_id for span in fused if span.parent} == {span.context.span_id for span in requests}


async def test_spans_say_how_it_ended_and_hold_nothing_of_the_request(redis: str) -> None:
    tracer, exporter = recording()
    async with traced_gateway(redis, tracer) as gateway:
        exporter.clear()
        await gateway.get("/healthz")  # asked all the time: of no interest to anybody
        await gateway.get("/v1/trajectories/city/secret")
        await gateway.post("/v1/sense", json={"frames": "secret"})
        await gateway._transport.app.state.gateway.pipeline.close()  # type: ignore[attr-defined]
        await gateway.post("/v1/sense", json={"frames": [city_frame("secret")]})
        spans = exporter.get_finished_spans()
    ended = [
        (span.name, (span.attributes or {})["http.response.status_code"], span.status.status_code)
        for span in spans
        if span.kind is SpanKind.SERVER
    ]
    assert ended == [
        ("GET /v1/trajectories/{site}/{ue:path}", 404, StatusCode.UNSET),
        ("POST /v1/sense", 422, StatusCode.UNSET),
        ("POST /v1/sense", 503, StatusCode.ERROR),
    ]
    assert "secret" not in "".join(span.to_json() for span in spans)
    (parsed,) = spans_of(exporter, "parse")
    assert (parsed.status.status_code, dict(parsed.attributes or {})) == (
        StatusCode.ERROR,
        {"error.type": "InvalidInput"},
    )


async def test_spans_reach_a_collector_by_the_end_of_the_service(redis: str) -> None:
    with collector() as (url, spans):
        tracer = make_tracer(Settings(traces="otlp", traces_endpoint=url))
        async with traced_gateway(redis, tracer) as gateway:
            await gateway.post("/v1/sense", json={"frames": [city_frame("traced")]})
    assert {span.name for span in spans} >= {"POST /v1/sense", *STAGES}


@pytest.mark.parametrize(("flags", "ratio", "traced"), [("01", 0.0, True), ("00", 1.0, False)])
async def test_the_caller_decides_whether_it_is_traced(redis: str, flags: str, ratio: float, traced: bool) -> None:
    with collector() as (url, spans):
        tracer = make_tracer(Settings(traces="otlp", traces_endpoint=url, traces_ratio=ratio))
        async with traced_gateway(redis, tracer) as gateway:
            await gateway.get("/v1/sites", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert ("GET /v1/sites" in {span.name for span in spans}) is traced


async def test_on_the_console_a_span_is_a_line(redis: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with traced_gateway(redis, make_tracer(Settings(traces="console"))) as gateway:
        await gateway.get("/v1/sites", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    written = capsys.readouterr()
    spans = [json.loads(line) for line in written.err.splitlines() if line.startswith("{")]
    assert SPAN not in written.out
    assert [span["parent_id"] for span in spans if span["name"] == "GET /v1/sites"] == [f"0x{SPAN}"]


async def test_a_collector_that_is_away_harms_no_request(redis: str) -> None:
    tracer = make_tracer(Settings(traces="otlp", traces_endpoint="http://127.0.0.1:9/v1/traces"))
    async with traced_gateway(redis, tracer) as gateway:
        response = await gateway.post("/v1/sense", json={"frames": [city_frame("lonely")]})
        assert response.status_code == 200


def test_tracing_is_off_by_default() -> None:
    assert make_tracer(Settings()) is None
