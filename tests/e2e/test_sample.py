"""The shipped sample through the shipped models: real process, real HTTP, real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.contract.manifest import Manifest
from service.demo.recording import Exchange, as_of, read_recording
from service.demo.replay import replay
from service.demo.summary import shortfalls, summarise
from service.demo.table import wide_console
from service.settings import Settings
from tests.e2e.gateway_process import Served, serving

SAMPLES = sorted(Settings().models.glob("*/sample*.jsonl.gz"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("gateway") / "log") as gateway:
        gateway.wait_for("/readyz", 200)
        yield gateway


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_sample_is_answered_as_well_as_the_card_promises(served: Served, sample: Path) -> None:
    exchanges: list[Exchange] = as_of(read_recording(sample), time.time())
    with httpx.Client(base_url=served.url, timeout=60.0) as client:
        outcomes = replay(client, exchanges, wide_console(stderr=True), sample.parent.name)
        ue, site = (exchanges[-1].request["frames"][-1][name] for name in ("ue", "site"))
        posted = sum(f["ue"] == ue and f["site"] == site for e in exchanges for f in e.request["frames"])
        track = client.get(f"/v1/trajectories/{site}/{ue}").json()
    card = Manifest.load(sample.parent).metrics["sample"]
    assert isinstance(card, dict)
    assert shortfalls(summarise(outcomes), card) == []
    assert len(track["vertices"]) == min(posted, Manifest.load(sample.parent).tensors.steps)
