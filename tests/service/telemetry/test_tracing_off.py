"""Tracing that is off needs nothing of what it takes: OpenTelemetry comes with an extra."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_OPENTELEMETRY = """
import sys
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed; the API below it comes with fastapi
import service.serving.process
from service.settings import Settings
from service.telemetry.tracing import make_tracer
assert make_tracer(Settings()) is None
try:
    make_tracer(Settings(traces="console"))
except ModuleNotFoundError as error:
    print(error.name)
"""


def test_opentelemetry_is_asked_for_only_where_tracing_is_on() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_OPENTELEMETRY], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("opentelemetry.sdk")
