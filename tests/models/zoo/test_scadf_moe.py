"""The shipped radio artifact: its files agree with each other, and online is what offline is."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
from models.radio.card import write_card
from models.radio.export import TOLERANCE
from models.radio.exported import ExportedRadio
from models.radio.graphs import random_inputs
from service.api.media import JSON
from service.api.parsing import parse_batch
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import EMBEDDING_DIM, RADIO, RADIO_STEPS
from service.demo.recording import read_recording
from service.engine.onnx_engine import OnnxEngine
from service.pipeline import SiteFrame
from service.pipeline.radio_assembly import radio_inputs
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import running_gateway

FOLDER = Path(models.__file__).parent / "zoo" / "scadf-moe"
Inputs = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.load(FOLDER)


@pytest.fixture(scope="module")
def graphs() -> ExportedRadio:
    return ExportedRadio(FOLDER, threads=1)


def _close(got: NDArray[Any], expected: NDArray[Any], name: str) -> None:
    gap = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert gap.max() < TOLERANCE, name


def test_files_are_those_of_the_manifest(manifest: Manifest) -> None:
    assert manifest.fingerprint == contract_fingerprint(RADIO)
    assert manifest.tensors is RADIO
    for name, digest in manifest.files.items():
        assert hashlib.sha256((FOLDER / f"{name}.onnx").read_bytes()).hexdigest() == digest
    assert max(manifest.metrics["parity"].values()) < TOLERANCE  # type: ignore[attr-defined]
    assert set(manifest.carriers) == {"2600000000", "6000000000", "28000000000"}


def test_card_is_what_the_manifest_and_the_table_say(tmp_path: Path) -> None:
    for name in ("manifest.json", "table.json", "cost.json", "router.json", "encode.onnx", "fuse.onnx"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    write_card(tmp_path)
    assert (tmp_path / "card.md").read_text() == (FOLDER / "card.md").read_text()


@pytest.mark.parametrize("graph", RADIO.graphs)
def test_batch_mates_do_not_matter(graphs: ExportedRadio, graph: str) -> None:
    inputs = random_inputs(graph, 17, np.random.default_rng(3))
    together = graphs.run(graph, inputs)
    for row in (0, 5, 16):
        alone = graphs.run(graph, {name: array[row : row + 1] for name, array in inputs.items()})
        for name, value in together.items():
            _close(alone[name][0], value[row], name)


@pytest.mark.parametrize("length", range(1, RADIO_STEPS + 1))
def test_padding_changes_nothing(graphs: ExportedRadio, length: int) -> None:
    rng = np.random.default_rng(length)
    inputs = random_inputs("fuse", 4, rng, length)
    inputs["step_mask"][:] = 1
    pad = RADIO_STEPS - length
    padded = {
        name: np.concatenate([np.zeros((4, pad, *array.shape[2:]), np.float32), array], 1)
        for name, array in inputs.items()
    }
    short, long = graphs.run("fuse", inputs), graphs.run("fuse", padded)
    for name, value in short.items():
        per_step = name.startswith(("path_", "step_"))
        _close(long[name][:, pad:] if per_step else long[name], value, name)


def test_router_says_nothing_of_cues_that_are_missing(graphs: ExportedRadio) -> None:
    inputs = random_inputs("encode", 64, np.random.default_rng(0))
    inputs["cue_mask"][0] = [1, 0, 0, 0]
    weight = graphs.run("encode", inputs)["router_weight"]
    some = inputs["cue_mask"].any(1)
    assert weight[some].sum(1) == pytest.approx(1, abs=1e-5)
    assert not weight[inputs["cue_mask"] == 0].any()


def _tracks(most: int) -> dict[str, list[SiteFrame]]:
    tracks: dict[str, list[SiteFrame]] = {}
    for exchange in read_recording(FOLDER / "sample.jsonl.gz"):
        for entry in parse_batch(JSON, json.dumps(exchange.request).encode(), 4096, 64).frames:
            assert isinstance(entry, SiteFrame)
            tracks.setdefault(entry.frame.ue, []).append(entry)
    return dict(list(tracks.items())[:most])


def test_online_is_offline(manifest: Manifest, graphs: ExportedRadio) -> None:
    """Frame by frame through gateway, Redis and engine, as against the whole track in one batch without them."""
    tracks = _tracks(most=6)
    sites = {site.name: site for site in manifest.sites}
    engine = OnnxEngine.load(FOLDER, intra_op_threads=1)
    requests = [exchange.request for exchange in read_recording(FOLDER / "sample.jsonl.gz")]

    async def online(redis: str) -> dict[str, list[list[float]]]:
        found: dict[str, list[list[float]]] = {}
        async with running_gateway(redis, dict.fromkeys(sites, engine), now_s=1e6) as client:
            for request in requests:
                frames = [frame for frame in request["frames"] if frame["ue"] in tracks]
                body = (await client.post("/v1/sense", json={"frames": frames})).json()
                for result in body["results"]:
                    found.setdefault(result["ue"], []).append(result["position"]["enu_m"])
        return found

    with EmbeddedRedis() as server:
        answered = asyncio.run(online(server.url))
    numbers = {site.name: row for row, site in enumerate(manifest.sites)}
    for ue, entries in tracks.items():
        site = sites[entries[0].site]
        encoded = graphs.run("encode", radio_inputs([e.frame for e in entries], [site] * len(entries), numbers))
        embedding = encoded["embedding"].astype(np.float16).astype(np.float32)
        times_s = np.array([e.frame.timestamp_s for e in entries])
        for last in range(len(entries)):
            first = max(0, last + 1 - RADIO_STEPS)
            steps = last + 1 - first
            out = graphs.run(
                "fuse",
                {
                    "embedding": embedding[None, first : last + 1].reshape(1, steps, EMBEDDING_DIM),
                    "age": (times_s[last] - times_s[None, first : last + 1]).astype(np.float32),
                    "step_mask": np.ones((1, steps), np.float32),
                },
            )
            _close(np.array(answered[ue][last]), site.to_enu(out["position"][0]), ue)
