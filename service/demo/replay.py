"""Replay a recording against a running gateway, as a network controller would send it."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.demo.activity_chart import draw_activity_chart
from service.demo.error_map import draw_error_maps
from service.demo.outcome import Outcome
from service.demo.posting import REQUEST_TIMEOUT_S, post_frames
from service.demo.recording import Exchange, as_of, read_recording
from service.demo.summary import summarise
from service.demo.table import print_outcomes, print_summary, wide_console


def run_replay(file: Path, url: str, out: Path | None, as_json: bool, every_row: bool = False) -> int:
    """Replay `file` against the gateway at `url` and print what came back beside the truth.

    UE names get a suffix of their own, so that a second replay does not continue the trajectories of the first.

    Args:
        file: a recording (`service.demo.recording`).
        url: the gateway's base URL, e.g. `http://127.0.0.1:8000`.
        out: folder for `error-map.png` and for the JSON as `outcomes.json`, or None to write nothing.
        as_json: print the JSON instead of tables.
        every_row: print every frame instead of a selection.

    Returns:
        Exit status: 0 when every frame was answered, 1 when one was not, 2 when there was nothing to talk to.
    """
    console = wide_console(stderr=as_json)
    try:
        exchanges = as_of(read_recording(file), now_s=time.time(), ue_suffix=f"~{secrets.token_hex(3)}")
        with httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S) as client:
            outcomes = replay(client, exchanges, console, file.name)
            sites = client.get("/v1/sites").raise_for_status().json()["sites"] if out is not None else []
    except ValueError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"{url}: expected the base URL of a running gateway (cellsense serve), got {error!r}"
        console.print(reason, style="red", markup=False)
        return 2
    summary = summarise(outcomes)
    report = json.dumps({"summary": summary.to_json(), "frames": [o.to_json() for o in outcomes]}, indent=2)
    if out is not None:
        boresights_deg = {site["name"]: site["boresight_deg"] for site in sites}
        maps = draw_error_maps(out, boresights_deg, outcomes, heights=None) + draw_activity_chart(out, outcomes)
        (out / "outcomes.json").write_text(report + "\n")
        console.print("Written:", *maps, out / "outcomes.json")
    if as_json:
        sys.stdout.write(report + "\n")
    else:
        print_outcomes(console, outcomes, every_row)
        print_summary(console, file.name, summary, card=None)
    return 1 if summary.failed else 0


def replay(
    client: httpx.Client, exchanges: Sequence[Exchange], console: Console, label: str, first_frame: int = 0
) -> list[Outcome]:
    """Post every exchange in order and show the progress.

    Args:
        client: talks to the gateway.
        exchanges: with timestamps that the gateway will take (`as_of`).
        console: where the progress bar goes.
        label: what is replayed, for the progress bar.
        first_frame: number of the first frame.

    Returns:
        One outcome per frame, in order; a refused request is an outcome with an error for each of its frames.

    Raises:
        httpx.HTTPError: no gateway answers.
    """
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(f"Replaying {label}", total=sum(len(e.truth) for e in exchanges))
        for exchange in exchanges:
            outcomes += post_frames(client, exchange, first_frame + len(outcomes))
            progress.advance(task, len(exchange.truth))
    return outcomes
