"""Prometheus as a process of its own, with the configuration that is deployed but for its pace and its targets."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.grafana.source import Source

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
START_TIMEOUT_S = 30.0
EVERY_S = 2  # scrapes and evaluations; a busy machine takes a second for a scrape

need_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="neither prometheus nor promtool is installed: apt-get install prometheus",
)


@contextmanager
def scraping(folder: Path, port: int, targets: Sequence[str]) -> Iterator[Source]:
    """Scrape the targets often, with the deployed rules, of which no alert waits longer than a scrape."""
    _write_config(folder, targets)
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _ready(url), START_TIMEOUT_S, (folder / "prometheus.log").read_text)
        with Source(url) as source:
            yield source
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def wait_until(true: Callable[[], bool], timeout_s: float, otherwise: Callable[[], object]) -> None:
    """Ask again until it is true; `otherwise` says what was wrong when it never was."""
    give_up_at = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up_at, otherwise()
        time.sleep(0.2)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False


def _write_config(folder: Path, targets: Sequence[str]) -> None:
    config: dict[str, Any] = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{EVERY_S}s")
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": list(targets)}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules").mkdir()
    for file in (DEPLOYED / "rules").glob("*.yml"):
        groups = yaml.safe_load(file.read_text())
        for rule in (rule for group in groups["groups"] for rule in group["rules"] if "for" in rule):
            rule["for"] = f"{EVERY_S}s"
        (folder / "rules" / file.name).write_text(yaml.safe_dump(groups))
