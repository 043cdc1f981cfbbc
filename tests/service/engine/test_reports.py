"""ONNX Runtime reports home unless it is told not to before it is loaded. It then also leaves files in a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.engine.artifacts import write_artifact

LOAD = "import sys; from pathlib import Path; from service.engine.onnx_engine import OnnxEngine;"
RUN = "OnnxEngine.load(Path(sys.argv[1])).warm_up()"
TOLD = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


def _run(program: str, artifact: Path, home: Path, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", program, str(artifact)]
    environment = {**inherited, "HOME": str(home), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_service_leaves_nothing_of_what_would_be_reported(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write_artifact(tmp_path / "tiny")
    _run(LOAD + RUN, tmp_path / "tiny", home)
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize(("given", "told"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_reports_are_off_unless_somebody_wants_them(tmp_path: Path, given: dict[str, str], told: str) -> None:
    assert _run(f"import service.engine; {TOLD}", tmp_path, tmp_path, **given) == told
