"""The log of a process of its own: structlog and the standard library are set up once a process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys, warnings
import structlog
from service.telemetry.logs import configure_logs

log = structlog.get_logger()
configure_logs(*sys.argv[1:])
structlog.contextvars.bind_contextvars(request_id="r-1")
log.debug("unimportant")
log.info("answered", status=200, sites=["city"], duration_s=0.25)
logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
logging.getLogger("other").debug("unimportant")
warnings.warn("old habits")
try:
    raise ValueError("broken")
except ValueError:
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    log.exception("failed")
"""


def logged(level: str, form: str) -> str:
    run = subprocess.run([sys.executable, "-c", PROGRAM, level, form], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    return run.stderr


def test_json_is_one_object_a_line_whoever_logs() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged("info", "json").splitlines()]
    assert [(line["level"], line["event"].split("\n")[0]) for line in lines] == [
        ("info", "answered"),
        ("info", "Started server process [7]"),
        ("warning", lines[2]["event"].split("\n")[0]),
        ("error", "Exception in ASGI application"),
        ("error", "failed"),
    ]
    assert lines[0] == {
        "event": "answered",
        "level": "info",
        "status": 200,
        "sites": ["city"],
        "duration_s": 0.25,
        "request_id": "r-1",
        "timestamp": lines[0]["timestamp"],
    }
    assert all(line["request_id"] == "r-1" and line["timestamp"].endswith("Z") for line in lines)
    assert lines[1]["logger"] == "uvicorn.error"
    assert "old habits" in lines[2]["event"]
    for line in lines[3:]:
        assert line["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize(("level", "count"), [("debug", 7), ("warning", 3), ("error", 2)])
def test_level_is_the_same_for_all_who_log(level: str, count: int) -> None:
    assert len(logged(level, "json").splitlines()) == count


def test_text_is_for_people_and_the_default_in_a_terminal() -> None:
    assert "answered" in logged("info", "text")
    assert "{" not in logged("info", "text").splitlines()[0]
    ours, theirs = pty.openpty()
    program = PROGRAM.replace("*sys.argv[1:]", "sys.argv[1], None")
    with subprocess.Popen([sys.executable, "-c", program, "info"], stderr=theirs) as process:
        os.close(theirs)
        first = os.read(ours, 1000).decode()
    os.close(ours)
    assert process.returncode in (0, 1)
    assert "answered" in first
    assert not first.startswith("{")
