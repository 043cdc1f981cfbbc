from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from service.demo.replay import run_replay
from tests.service.demo.canned_gateway import canned_gateway
from tests.service.demo.outcomes import recording, result


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return recording(tmp_path / "sample.jsonl.gz", lines=4, ues=3)


def _right(request: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"results": [result(i, (0.0, float(i))) for i, _ in enumerate(request["frames"])]}


def test_every_line_is_posted_in_order_as_of_now(sample: Path) -> None:
    before_s = time.time()
    with canned_gateway(_right) as gateway:
        assert run_replay(sample, gateway.url, None, as_json=False) == 0
    times_s = [request["frames"][0]["timestamp_s"] for request in gateway.requests]
    assert times_s == sorted(times_s)
    assert before_s <= times_s[-1] <= time.time()


def test_two_replays_do_not_share_trajectories(sample: Path) -> None:
    with canned_gateway(_right) as gateway:
        run_replay(sample, gateway.url, None, as_json=False)
        run_replay(sample, gateway.url, None, as_json=False)
    first, second = gateway.requests[0], gateway.requests[4]
    assert first["frames"][0]["ue"] != second["frames"][0]["ue"]


def test_json_is_all_that_stands_on_the_standard_output(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with canned_gateway(_right) as gateway:
        assert run_replay(sample, gateway.url, None, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["summary"]["frames"] == 12
    assert [frame["frame"] for frame in report["frames"]] == list(range(12))
    assert report["frames"][11]["error_m"] == pytest.approx(3.0)


def test_map_and_outcomes_are_written_where_asked(sample: Path, tmp_path: Path) -> None:
    with canned_gateway(_right) as gateway:
        assert run_replay(sample, gateway.url, tmp_path / "out", as_json=False) == 0
    assert (tmp_path / "out" / "error-map.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "outcomes.json").read_text())["summary"]["failed"] == 0


def test_failed_frame_makes_the_replay_fail_and_the_others_count(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def second_fails(request: dict[str, Any]) -> tuple[int, Any]:
        status, body = _right(request)
        body["results"][1] = {"index": 1, "status": 422, "error": {"detail": "frames[1].csi: expected bytes, got none"}}
        return status, body

    with canned_gateway(second_fails) as gateway:
        assert run_replay(sample, gateway.url, None, as_json=False) == 1
    printed = capsys.readouterr().out
    assert "8 of 12 frames answered" in printed
    assert "frames[1].csi: expected bytes, got none" in printed


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (503, {"detail": "the queue is full"}, "the queue is full"),
        (422, {"detail": "all", "errors": [{"detail": f"frames[{i}] is bad"} for i in range(3)]}, "frames[2] is bad"),
        (502, "<html>", "expected JSON, got 502 '<html>'"),
    ],
)
def test_refused_request_fails_each_of_its_frames(
    sample: Path, status: int, body: Any, detail: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with canned_gateway(lambda _request: (status, body)) as gateway:
        assert run_replay(sample, gateway.url, None, as_json=False) == 1
    printed = capsys.readouterr().out
    assert detail in printed
    assert "0 of 12 frames answered" in printed


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[::1"])
def test_no_gateway_is_said_plainly(sample: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_replay(sample, url, None, as_json=False) == 2
    assert "expected the base URL of a running gateway" in " ".join(capsys.readouterr().out.split())


def test_broken_recording_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_replay(tmp_path / "none.jsonl.gz", "http://127.0.0.1:1", None, as_json=False) == 2
    assert "none.jsonl.gz" in capsys.readouterr().out.replace("\n", "")
