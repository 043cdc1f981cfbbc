"""The layering, seen from outside: what a fresh process has loaded once the gateway is imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TRAINING_ONLY = {"models", "torch", "onnx", "onnxscript", "sionna", "mitsuba", "drjit", "sklearn", "skimage", "scipy"}
DEMO_ONLY = {"matplotlib", "rich", "httpx"}
WHOLE_SERVICE = """
import importlib, pkgutil, sys, service
sys.modules["rich"] = None  # as if it were not installed: where it is, structlog loads it
for module in pkgutil.walk_packages(service.__path__, "service."):
    if not module.name.startswith("service.demo"):
        importlib.import_module(module.name)
"""


def _loaded_by(program: str) -> set[str]:
    """Top-level packages in `sys.modules` of a new interpreter that ran `program`."""
    loaded = "{name.split('.')[0] for name, module in sys.modules.items() if module is not None}"
    report = f"\nimport json, sys\nprint(json.dumps(sorted({loaded})))"
    command = [sys.executable, "-c", program + report]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_service_loads_neither_the_models_nor_a_training_library_nor_the_demo() -> None:
    loaded = _loaded_by(WHOLE_SERVICE)
    assert "onnxruntime" in loaded  # it is the whole service indeed
    assert loaded & (TRAINING_ONLY | DEMO_ONLY) == set()


def test_command_line_loads_the_demo_only_when_asked_to() -> None:
    assert _loaded_by("import service.cli") & (TRAINING_ONLY | DEMO_ONLY) == set()


def test_demo_loads_neither_the_models_nor_a_training_library() -> None:
    assert _loaded_by("import service.demo.demo") & TRAINING_ONLY == set()


def test_a_process_that_only_answers_requests_does_not_load_onnx_runtime() -> None:
    modules = "service.cli, service.serving.template, service.serving.engine, service.rpc.servicer"
    assert "onnxruntime" not in _loaded_by(f"import {modules}")


def test_the_supervisor_of_several_processes_is_small() -> None:
    loaded = _loaded_by("import service.serving.supervisor")
    assert loaded & {"asyncio", "dataclasses", "numpy", "msgspec", "pydantic", "redis", "structlog"} == set()


@pytest.mark.parametrize("module", ["batching", "trajectory", "normalizers", "contract.tensors", "errors"])
def test_parts_below_the_engine_do_not_load_onnx_runtime(module: str) -> None:
    assert "onnxruntime" not in _loaded_by(f"import service.{module}")
