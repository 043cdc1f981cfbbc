"""Spans by OpenTelemetry. Nothing imports this unless tracing is on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.telemetry.tracer import RequestSpan
from service.version import package_version

NAME = "cellsense"
EXPORT_TIMEOUT_S = 2.0  # spans are lost rather than the end of the service held up


class OtelTracer:
    """See `service.telemetry.tracer.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        """Take a provider, which is this tracer's to close."""
        self._provider = provider
        self._tracer = provider.get_tracer(NAME, package_version())
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def exporting(cls, endpoint: str | None, ratio: float) -> OtelTracer:
        """A tracer that exports in the background.

        Args:
            endpoint: URL of an OTLP collector, None for standard error, where the log is: a span is a line.
            ratio: share of the requests that are traced, where their callers have not decided.
        """
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create({"service.name": NAME, "service.version": package_version()}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(_exporter(endpoint)))
        return cls(provider)

    @contextmanager
    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[RequestSpan]:
        """The span of a request, a child of the caller's span where the headers name one (W3C Trace Context)."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        context = self._propagator.extract(carrier)
        attributes = {"http.request.method": method}
        with self._span(method, context, SpanKind.SERVER, attributes) as span:
            yield _OtelRequestSpan(span, method)

    def stage(self, name: str) -> AbstractContextManager[object]:
        """The span of what runs inside."""
        return self._span(name)

    def record(self, name: str, started_s: float, ended_s: float) -> None:
        """A span of something that is over; times are of `time.monotonic()`."""
        epoch_ns = time.time_ns() - time.monotonic_ns()
        span = self._tracer.start_span(name, start_time=epoch_ns + round(started_s * 1e9))
        span.end(epoch_ns + round(ended_s * 1e9))

    def close(self) -> None:
        """Export what is left. Blocks for some seconds at most."""
        self._provider.shutdown()

    @contextmanager
    def _span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, str] | None = None,
    ) -> Iterator[trace.Span]:
        """A span that says which kind of exception ended it, but not its message: that may hold some of the request."""
        with self._tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise


class _OtelRequestSpan:
    """See `service.telemetry.tracer.RequestSpan`."""

    def __init__(self, span: trace.Span, method: str) -> None:
        self._span = span
        self._method = method

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def answered(self, route: str, status: int) -> None:
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))


def _exporter(endpoint: str | None) -> SpanExporter:
    if endpoint is None:
        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
