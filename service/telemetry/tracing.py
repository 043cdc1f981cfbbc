"""Which tracer the settings ask for."""

from __future__ import annotations

from service.settings import Settings
from service.telemetry.tracer import Tracer


def make_tracer(settings: Settings) -> Tracer | None:
    """The tracer, None where tracing is off. Raises `ModuleNotFoundError` where OpenTelemetry is not installed."""
    if settings.traces == "off":
        return None
    from service.telemetry.otel import OtelTracer

    endpoint = settings.traces_endpoint if settings.traces == "otlp" else None
    return OtelTracer.exporting(endpoint, settings.traces_ratio)
