"""The demo: start the real gateway, replay the sample of every artifact through it, show how well it did, stop it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import httpx
from rich.console import Console

from service.contract.manifest import Manifest
from service.demo.activity_chart import draw_activity_chart
from service.demo.error_map import Heights, draw_error_maps
from service.demo.gateway import GatewayFailure, running_gateway
from service.demo.outcome import Outcome
from service.demo.posting import REQUEST_TIMEOUT_S
from service.demo.recording import Exchange, as_of, read_recording, shipped_samples
from service.demo.replay import replay
from service.demo.summary import Summary, shortfalls, summarise
from service.demo.table import print_outcomes, print_summary, wide_console
from service.demo.termination import terminated_like_interrupted

INTERRUPTED = 130  # exit status after a Ctrl-C


@dataclass
class Showing:
    """One artifact, its sample, and what came of it."""

    folder: Path
    manifest: Manifest
    recordings: dict[str, list[Exchange]]  # by file name
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name and version of the artifact."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def card(self) -> dict[str, object]:
        """The sample's figures as they were measured offline at export, empty where they were not."""
        card = self.manifest.metrics.get("sample")
        return card if isinstance(card, dict) else {}

    @property
    def summary(self) -> Summary:
        """The sample's figures as they were measured just now."""
        return summarise(self.outcomes)

    def to_json(self) -> dict[str, object]:
        """The showing as JSON-ready values."""
        return {
            "artifact": self.manifest.name,
            "version": self.manifest.version,
            "summary": self.summary.to_json(),
            "card": self.card,
            "shortfalls": shortfalls(self.summary, self.card),
            "frames": [outcome.to_json() for outcome in self.outcomes],
        }


def run_demo(models: Path, out: Path, as_json: bool, every_row: bool = False) -> int:
    """Show what the artifacts in `models` do with the samples that they ship.

    Args:
        models: folder of artifacts; those with files `sample*.jsonl.gz` are shown.
        out: folder for `error-map.png` and the log of the gateway.
        as_json: print one JSON document instead of tables.
        every_row: print every frame instead of a selection.

    Returns:
        Exit status: 0 when all went as the cards promise, 1 when a frame failed or a figure is worse than the card's
        beyond the tolerance of `service.demo.summary`, 2 when the demo could not run, 130 when it was interrupted.
    """
    console = wide_console(stderr=as_json)
    try:
        with terminated_like_interrupted():
            showings = find_showings(models)
            out.mkdir(parents=True, exist_ok=True)
            _replay_all(showings, models, out, console)
            maps = _draw_maps(showings, out)
    except (ValueError, GatewayFailure, httpx.HTTPError) as error:
        console.print(f"The demo could not run: {error}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Interrupted; the gateway is stopped.", style="red")
        return INTERRUPTED
    if as_json:
        report = {"artifacts": [s.to_json() for s in showings], "maps": [str(path) for path in maps]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print_all(showings, maps, console, every_row)
    failed = [f"{s.name}: {shortfall}" for s in showings for shortfall in shortfalls(s.summary, s.card)]
    for sentence in failed:
        console.print(f"Worse than the card: {sentence}", style="red", markup=False)
    return 1 if failed else 0


def find_showings(models: Path) -> list[Showing]:
    """The artifacts in `models` that ship a sample, by name. Raises `ValueError` where none does or one is broken."""
    showings = []
    for folder, paths in groupby(shipped_samples(models), key=lambda path: path.parent):
        recordings = {path.name: read_recording(path) for path in paths}
        showings.append(Showing(folder, Manifest.load(folder), recordings))
    return showings


def _replay_all(showings: Sequence[Showing], models: Path, out: Path, console: Console) -> None:
    with ExitStack() as stack:
        started = time.monotonic()
        with console.status("Starting the gateway with its models and an embedded Redis"):
            url = stack.enter_context(running_gateway(models, out / "gateway.log"))
        console.print(f"The gateway was ready at {url} after {time.monotonic() - started:.1f} s.")
        client = stack.enter_context(httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S))
        for showing in showings:
            for name, exchanges in showing.recordings.items():
                label = f"{showing.manifest.name}/{name}"
                showing.outcomes += replay(client, as_of(exchanges, time.time()), console, label, len(showing.outcomes))


def _draw_maps(showings: Sequence[Showing], out: Path) -> list[Path]:
    paths: list[Path] = []
    for showing in showings:
        boresights_deg = {site.name: site.boresight_deg for site in showing.manifest.sites}
        folder = out / showing.manifest.name if len(showings) > 1 else out
        paths += draw_error_maps(folder, boresights_deg, showing.outcomes, Heights.load(showing.folder / "map.npz"))
        paths += draw_activity_chart(folder, showing.outcomes)
    return paths


def _print_all(showings: Sequence[Showing], maps: Sequence[Path], console: Console, every_row: bool) -> None:
    for showing in showings:
        print_outcomes(console, showing.outcomes, every_row)
    console.print()
    for showing in showings:
        print_summary(console, showing.name, showing.summary, showing.card)
    for path in maps:
        console.print(f"Picture: {path}")
