from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from service.demo.laps import laps
from service.demo.recording import read_recording
from service.demo.stream import REPORT_S, RETRY_S, run_stream, stream
from tests.service.demo.canned_gateway import Answer, canned_gateway
from tests.service.demo.outcomes import recording, result

START_S = 1_790_000_000.0


class Clock:
    """Time that passes by sleeping, and by `work_s` each time that somebody looks at it."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.time_s = START_S
        self.work_s = work_s
        self.slept_s: list[float] = []

    def now_s(self) -> float:
        self.time_s += self.work_s
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.time_s += seconds


def _right(request: dict[str, Any]) -> tuple[int, Any]:
    if "labels" in request:
        return 200, {"results": [{"index": i, "status": 200} for i, _ in enumerate(request["labels"])]}
    return 200, {"results": [result(i, (0.0, float(i))) for i, _ in enumerate(request["frames"])]}


def _streamed(sample: Path, count: int, answer: Answer, clock: Clock) -> tuple[list[dict[str, Any]], str]:
    """The requests that the first `count` exchanges of the stream made, and the lines that it printed."""
    console = Console(file=StringIO(), width=200)
    with canned_gateway(answer) as gateway, httpx.Client(base_url=gateway.url) as client:
        stream(client, islice(laps(read_recording(sample)), count), console, clock.now_s, clock.sleep)
    assert isinstance(console.file, StringIO)
    return gateway.requests, console.file.getvalue()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return recording(tmp_path / "sample.jsonl.gz", lines=4, ues=3)  # one second apart


def _posted(requests: list[dict[str, Any]], kind: str) -> list[list[dict[str, Any]]]:
    return [request[kind] for request in requests if kind in request]


def test_exchanges_are_posted_when_they_are_due_and_dated_so(sample: Path) -> None:
    clock = Clock()
    requests, _ = _streamed(sample, 6, _right, clock)
    frames = _posted(requests, "frames")
    assert [entry[0]["timestamp_s"] - START_S for entry in frames] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert clock.slept_s == [1.0] * 5
    assert [entry[0]["ue"] for entry in frames] == ["ue-0.0"] * 4 + ["ue-0.1"] * 2


def test_truth_of_the_very_frames_is_posted_a_while_later(sample: Path) -> None:
    requests, _ = _streamed(sample, 3, _right, Clock())
    assert [next(iter(request)) for request in requests] == ["frames", "frames", "labels", "frames", "labels"]
    assert requests[4]["labels"][2] == {
        "site": "munich",
        "ue": "ue-2.0",
        "timestamp_s": START_S + 1.0,
        "position_enu_m": [1.0, 2.0],
        "line_of_sight": True,
    }


def test_frames_that_failed_get_no_label(sample: Path) -> None:
    def second_fails(request: dict[str, Any]) -> tuple[int, Any]:
        status, body = _right(request)
        if "frames" in request:
            body["results"][1] = {"index": 1, "status": 503, "error": {"detail": "the queue is full"}}
        return status, body

    requests, _ = _streamed(sample, 2, second_fails, Clock())
    (labels,) = _posted(requests, "labels")
    assert [label["ue"] for label in labels] == ["ue-0.0", "ue-2.0"]


def test_a_stream_that_falls_behind_keeps_the_distances_between_frames(sample: Path) -> None:
    requests, _ = _streamed(sample, 4, _right, Clock(work_s=2.0))  # every look at the clock is two seconds later
    times_s = [frames[0]["timestamp_s"] for frames in _posted(requests, "frames")]
    assert all(after - before >= 1.0 for before, after in pairwise(times_s))
    assert times_s[-1] - times_s[0] > 3.0


def test_a_line_now_and_then_says_how_it_goes(sample: Path) -> None:
    taken = _streamed(sample, 25, _right, Clock())[1].splitlines()
    assert len(taken) == 24 // REPORT_S
    assert re.fullmatch(
        r"33 frames answered, 0 failed, 0 lost; 30 labels taken; median error \d\.\d\d m", taken[0].strip()
    )
    refused = _streamed(sample, 12, _all_refused, Clock())[1]
    assert refused.strip() == "0 frames answered, 33 failed, 0 lost; 0 labels taken; the queue is full"


def _all_refused(_: dict[str, Any]) -> tuple[int, Any]:
    return 503, {"detail": "the queue is full"}


def test_labels_that_are_refused_are_not_counted_as_taken(sample: Path) -> None:
    def unknown(request: dict[str, Any]) -> tuple[int, Any]:
        return (404, {"detail": "nothing is known of that frame"}) if "labels" in request else _right(request)

    assert "33 frames answered, 0 failed, 0 lost; 0 labels taken" in _streamed(sample, 12, unknown, Clock())[1]


def test_gateway_that_goes_away_is_waited_for(sample: Path) -> None:
    clock = Clock()
    console = Console(file=StringIO(), width=200)
    transport = httpx.MockTransport(_away_until(START_S + 5.0, clock.now_s))
    with httpx.Client(base_url="http://gateway", transport=transport) as client:
        stream(client, islice(laps(read_recording(sample)), 12), console, clock.now_s, clock.sleep)
    assert RETRY_S in clock.slept_s
    assert isinstance(console.file, StringIO)
    printed = console.file.getvalue()
    assert "18 frames answered, 0 failed, 15 lost" in printed
    assert "no gateway answers: ConnectError" in printed


def _away_until(back_s: float, now_s: Callable[[], float]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if now_s() < back_s:
            raise httpx.ConnectError("Connection refused", request=request)
        frames = 3
        return httpx.Response(200, json={"results": [result(i, (0.0, 0.0)) for i in range(frames)]})

    return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_stream_in_order(sample: Path, number: signal.Signals) -> None:
    with canned_gateway(_right) as gateway:
        command = [sys.executable, "-m", "service.cli", "stream", str(sample), "--url", gateway.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            while len(gateway.requests) < 3 and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(number)
            printed, _ = process.communicate(timeout=20.0)
        finally:
            process.kill()
    assert process.returncode == 0, printed
    assert printed.strip() == "Told to end."


@pytest.mark.parametrize("url", ["nonsense", "http://[::1"])
def test_address_that_can_never_answer_is_said_plainly(
    sample: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_stream([sample], url) == 2
    assert f"{url}: expected the base URL of a gateway" in capsys.readouterr().out


def test_broken_recording_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stream([tmp_path / "none.jsonl.gz"], "http://127.0.0.1:1") == 2
    assert "none.jsonl.gz" in capsys.readouterr().out.replace("\n", "")
