from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from service.contract.tensors import MULTIMODAL
from service.engine.device import Device
from service.engine.memory import return_freed_memory
from service.engine.onnx_graph import open_graph
from tests.service.engine.artifacts import write_artifact

MIB = 1 << 20


def test_what_only_a_large_run_needed_is_given_back(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    content, specs = (tmp_path / "encode.onnx").read_bytes(), MULTIMODAL.graphs["encode"]
    graph = open_graph("tiny", content, specs, Device(), sessions=1, threads=1)
    if not return_freed_memory():
        pytest.skip("not glibc")
    resident = psutil.Process().memory_info
    graph.run(graph.blank({"B": 1, "S": 256}))  # its pictures take 56 MB as numbers
    grown = resident().rss
    graph.shrink()
    return_freed_memory()
    assert resident().rss < grown - 30 * MIB
    assert len(graph.run(graph.blank({"B": 2, "S": 2}))["gate"]) == 2
