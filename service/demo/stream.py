"""Replay recordings in real time and without an end, as the controller of a network with traffic in it."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
from rich.console import Console

from service.demo.laps import Due, laps
from service.demo.outcome import Outcome
from service.demo.posting import REQUEST_TIMEOUT_S, post_frames, post_labels
from service.demo.recording import Exchange, as_of, read_recording
from service.demo.summary import summarise
from service.demo.table import wide_console
from service.demo.termination import terminated_like_interrupted

REPORT_S = 10.0  # how often a line says how it goes
LABEL_DELAY_S = 1.0  # how much later than the answer the truth is known
RETRY_S = 1.0  # how long to wait for a gateway that does not answer


def run_stream(files: Sequence[Path], url: str) -> int:
    """Stream `files` to the gateway at `url` until a Ctrl-C or a SIGTERM.

    A gateway that is not there, or not yet, is waited for: what happened meanwhile is lost, as it would be in a cell.

    Args:
        files: recordings (`service.demo.recording`); each site of them goes round on its own.
        url: the gateway's base URL, e.g. `http://127.0.0.1:8000`.

    Returns:
        Exit status: 0 when it was told to end, 2 when it could not begin.
    """
    console = wide_console(stderr=False)
    try:
        with terminated_like_interrupted(), httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S) as client:
            exchanges = [exchange for file in files for exchange in read_recording(file)]
            stream(client, laps(exchanges, f"~{secrets.token_hex(3)}"), console)
    except KeyboardInterrupt:
        console.print("Told to end.")
    except ValueError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        console.print(f"{url}: expected the base URL of a gateway, got {error!r}", style="red", markup=False)
        return 2
    return 0


def stream(
    client: httpx.Client,
    dues: Iterable[Due],
    console: Console,
    now_s: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post every exchange when it is due, the truth about it a while later, and now and then a line of figures.

    Args:
        client: talks to the gateway.
        dues: what happens when, in the order of time.
        console: where the lines go.
        now_s: Unix time.
        sleep: waits for so many seconds.
    """
    begun_s = now_s()
    report = _Report(console, begun_s)
    answered: deque[tuple[float, Exchange, list[Outcome]]] = deque()  # when, and what is still to be labelled
    for due in dues:
        lag_s = now_s() - (begun_s + due.at_s)
        if lag_s < 0:
            sleep(-lag_s)
        else:
            begun_s += lag_s  # what follows keeps its distance, or trajectories would look faster than they are
        exchange = as_of([due.exchange], begun_s + due.at_s)[0]
        try:
            outcomes = post_frames(client, exchange)
        except httpx.UnsupportedProtocol:
            raise  # no gateway will ever answer there
        except httpx.HTTPError as error:
            report.lose(len(exchange.truth), error)
            sleep(RETRY_S)
        else:
            report.add(outcomes)
            answered.append((now_s(), exchange, outcomes))
        while answered and answered[0][0] <= now_s() - LABEL_DELAY_S:
            with suppress(httpx.HTTPError):  # the next frames find out whether the gateway is gone
                report.labels += post_labels(client, *answered.popleft()[1:])
        report.print_when_due(now_s())


class _Report:
    """What has happened since the last line."""

    def __init__(self, console: Console, now_s: float) -> None:
        self._console = console
        self._next_s = now_s + REPORT_S
        self._begin()

    def _begin(self) -> None:
        self.labels = 0  # that were taken
        self._outcomes: list[Outcome] = []
        self._lost = 0
        self._why = ""

    def add(self, outcomes: list[Outcome]) -> None:
        """Count what was answered."""
        self._outcomes += outcomes

    def lose(self, frames: int, error: httpx.HTTPError) -> None:
        """Count frames for which no gateway was there."""
        self._lost += frames
        self._why = f"no gateway answers: {error!r}"

    def print_when_due(self, now_s: float) -> None:
        """Print the line and begin anew where its time has come."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + REPORT_S
        summary = summarise(self._outcomes)
        parts = [
            f"{summary.frames - summary.failed} frames answered, {summary.failed} failed, {self._lost} lost",
            f"{self.labels} labels taken",
        ]
        if summary.position_median_m is not None:
            parts.append(f"median error {summary.position_median_m:.2f} m")
        parts += dict.fromkeys(o.error for o in self._outcomes if o.error is not None)
        if self._why:
            parts.append(self._why)
        self._console.print("; ".join(parts), markup=False, soft_wrap=True)
        self._begin()
