from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.service.engine.artifacts import write_artifact

MIB = 1 << 20
_TWO_GRAPHS = """
import gc, json, sys
from pathlib import Path
import psutil
from service.contract.tensors import MULTIMODAL
from service.engine.device import Device
from service.engine.onnx_graph import open_graph

content, specs = Path(sys.argv[1], "encode.onnx").read_bytes(), MULTIMODAL.graphs["encode"]
held = sys.getrefcount(content)
graphs = [open_graph(f"graph {n}", content, specs, Device(), sessions=1, threads=1) for n in range(2)]
gc.collect()
kept = sys.getrefcount(content) - held
resident = [psutil.Process().memory_info().rss]
inputs = graphs[0].blank({"B": 1, "S": 256})  # its pictures take 56 MB as numbers
resident.append(psutil.Process().memory_info().rss)
for graph in graphs:
    graph.run(inputs)
    resident.append(psutil.Process().memory_info().rss)
print(json.dumps({"kept": kept, "grown": [after - before for before, after in zip(resident, resident[1:])]}))
"""


def _two_graphs(folder: Path) -> dict[str, object]:
    write_artifact(folder)
    command = [sys.executable, "-c", _TWO_GRAPHS, str(folder)]  # a process whose memory nobody else has used
    found: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def test_what_one_graph_has_computed_in_the_next_one_computes_in(tmp_path: Path) -> None:
    found = _two_graphs(tmp_path)
    _, first, second = found["grown"]  # type: ignore[misc]
    assert first > 40 * MIB
    assert second < 10 * MIB


def test_an_open_graph_does_not_keep_its_file(tmp_path: Path) -> None:
    assert _two_graphs(tmp_path)["kept"] == 0
