"""Load on `/v1/sense` by wrk, every request another, and what to look at before it."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.bench.sense.template import PATH, UES, Template
from tests.bench.serving import http_client, wrk
from tests.bench.serving.load import Load

_SCRIPT = Path(__file__).with_name("frames.lua")


def run(port: int, template: Template, clients: int, seconds: float, scratch: Path, first: int | None = None) -> Load:
    """Post from so many clients; a request of which a frame was not answered counts as failed.

    Args:
        first: number of the first request; by default one that no load before is likely to have come to.

    Raises:
        OSError: wrk failed.
    """
    request = template.filled(0, time.time())
    body, headers, patches = (scratch / name for name in ("body.bin", "headers.txt", "patches.txt"))
    body.write_bytes(template.body)
    headers.write_text(wrk.header_lines(request))
    patches.write_text("".join(f"{patch.offset} {patch.kind} {patch.slot}\n" for patch in template.patches))
    if first is None:
        first = random.randrange(1 << 31)
    frames = template.case.frames
    told = (body, headers, patches, template.form.answered.hex(), frames, UES, first)
    return wrk.run_script(_SCRIPT, port, PATH, clients, seconds, *told)


def check(port: int, template: Template, steps: int) -> None:
    """Ask twice by the same UEs: every frame must be answered in full, the second time with a longer trajectory.

    Args:
        steps: most frames of a trajectory.

    Raises:
        ValueError: a frame was not.
        OSError: there was no answer.
    """
    case, form = template.case, template.form
    lengths = []
    for sequence in (0, UES):  # the same UEs, other numbers
        answer = http_client.post(port, template.filled(sequence, time.time()))
        results = form.load(answer.body)["results"]
        bad = [result for result in results if result["status"] != 200 or result["degraded"]]
        if bad or len(results) != case.frames or answer.body.count(form.answered) != case.frames:
            raise ValueError(f"{form.name}, {case}: expected {case.frames} frames answered in full, got {bad[:1]}")
        lengths.append([result["explanation"]["trajectory_length"] for result in results])
    if any(after != min(before + 1, steps) for before, after in zip(*lengths, strict=True)):
        raise ValueError(f"{form.name}, {case}: expected trajectories one longer than {lengths[0]}, got {lengths[1]}")
