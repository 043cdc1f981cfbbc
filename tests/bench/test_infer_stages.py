from __future__ import annotations

from pathlib import Path

import pytest
import uvloop

from tests.bench import infer_stages
from tests.bench.serving.artifact import write_artifact
from tests.bench.serving.bench_model import SIZES


def test_it_counts_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer_stages, "TIMES", 3)
    write_artifact(tmp_path, SIZES["bench"])
    found = uvloop.run(infer_stages.measure(tmp_path, seconds=0.2))
    assert {"event loop", "engine's threads", "- ONNX Runtime (wall)", "sockets", "- receive the request"} <= set(found)
    assert all(us > 0 for us in found.values())
