"""The demo against the real gateway, with a tiny artifact that sees every frame without CSI at the origin."""

from __future__ import annotations

import base64
import gzip
import json
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.demo.demo import INTERRUPTED, run_demo
from tests.service.engine.artifacts import write_artifact

DETECTIONS = np.full((2, 6), 0.5, "<f4")
RADAR = {"dtype": "float32", "shape": [2, 6], "data": base64.b64encode(DETECTIONS.tobytes()).decode()}
CARD = {"frames": 6, "position_median_m": 5.0, "position_p95_m": 5.0, "region_coverage": 0.0}


def _line(time_s: float, site: str = "munich", **more: Any) -> str:
    request = {
        "scenes": [{"id": "s0", "site": "munich", "radar": RADAR}],
        "frames": [{"site": site, "ue": ue, "timestamp_s": time_s, "scene": "s0", **more} for ue in ("ue-0", "ue-1")],
    }
    return json.dumps({"request": request, "truth": [{"position_enu_m": [3.0, 4.0]}] * 2}) + "\n"


def _zoo(folder: Path, card: dict[str, Any], lines: list[str]) -> Path:
    artifact = folder / "tiny"
    replace(write_artifact(artifact), metrics={"sample": card}).save(artifact)
    with gzip.open(artifact / "sample.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(lines)
    return folder


def _log_url(out: Path) -> tuple[str, int] | None:
    log = out / "gateway.log"
    found = re.search(r"running on http://([\d.]+):(\d+)", log.read_text()) if log.exists() else None
    return (found[1], int(found[2])) if found else None


def _is_listening(address: tuple[str, int] | None) -> bool:
    assert address is not None
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def test_demo_shows_the_sample_beside_the_truth_and_stops_its_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo = _zoo(tmp_path / "zoo", CARD, [_line(0.0), _line(1.0), _line(2.0)])
    assert run_demo(zoo, tmp_path / "out", as_json=False) == 0
    printed = capsys.readouterr().out
    assert "tiny 1.0.0: 6 of 6 frames answered · median error 5.00 m (card 5.00 m)" in printed
    assert "5 ue-1 3.0, 4.0 0.0, 0.0 5.00" in " ".join(printed.split())
    assert (tmp_path / "out" / "error-map.png").is_file()
    assert not _is_listening(_log_url(tmp_path / "out"))


def test_demo_fails_when_a_figure_is_worse_than_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zoo = _zoo(tmp_path / "zoo", {**CARD, "position_median_m": 1.0}, [_line(0.0), _line(1.0), _line(2.0)])
    assert run_demo(zoo, tmp_path / "out", as_json=True) == 1
    captured = capsys.readouterr()
    (artifact,) = json.loads(captured.out)["artifacts"]
    assert artifact["shortfalls"] == ["position_median_m: the card says 1.00 m, measured 5.00 m"]
    assert "Worse than the card: tiny 1.0.0: position_median_m" in captured.err


def test_demo_fails_when_a_frame_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zoo = _zoo(tmp_path / "zoo", CARD, [_line(0.0), _line(1.0, site="atlantis"), _line(2.0)])
    assert run_demo(zoo, tmp_path / "out", as_json=False) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 of 6 frames were not answered" in printed
    assert "Frame 2 (atlantis, ue-0) failed: frames[0].site" in printed


def test_demo_says_why_its_gateway_did_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zoo = _zoo(tmp_path / "zoo", CARD, [_line(0.0)])
    (zoo / "tiny" / "encode.onnx").write_bytes(b"spoiled")
    assert run_demo(zoo, tmp_path / "out", as_json=False) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "The demo could not run: the gateway ended with status" in printed
    assert "encode.onnx" in printed


def test_demo_without_a_sample_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(tmp_path, tmp_path / "out", as_json=False) == 2
    assert "expected an artifact with a sample" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_stops_its_gateway(tmp_path: Path, number: signal.Signals) -> None:
    zoo = _zoo(tmp_path / "zoo", CARD, [_line(float(n)) for n in range(3_000)])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "service.cli", "demo", "--models", str(zoo), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        give_up_at = time.monotonic() + 30.0
        while _log_url(out) is None and demo.poll() is None and time.monotonic() < give_up_at:
            time.sleep(0.02)
        address = _log_url(out)
        demo.send_signal(number)
        printed, _ = demo.communicate(timeout=30.0)
    assert demo.returncode == INTERRUPTED, printed
    assert "the gateway is stopped" in printed
    assert not _is_listening(address)
