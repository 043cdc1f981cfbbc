"""A served model: its engine, and what runs each of its graphs for many requests at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping

from service.contract.manifest import Calibration, Manifest
from service.contract.sites import Site
from service.contract.tensors import MULTIMODAL, RADIO
from service.engine.protocol import Described, Inputs, Outputs
from service.errors import ArtifactError
from service.pipeline.decoding import REGION_KEY
from service.runner.runner import Runner
from service.telemetry.stages import Stages

_QUANTILES = {
    MULTIMODAL.name: ("region_quantile",),
    RADIO.name: ("region_quantile", "path_quantile", "centroid_quantile"),
}
"""What each calibration of a contract must have at `REGION_KEY`."""


class Model:
    """Encodes and fuses, in as few runs of the engine as arrive together."""

    def __init__(self, engine: Described, runners: Mapping[str, Runner], stages: Stages) -> None:
        """Run the graphs of an engine by `runners`, by the names of the graphs.

        Raises `ArtifactError` where the manifest lacks what answering needs.
        """
        _check(engine)
        self.engine = engine
        self.manifest = engine.manifest
        self.contract = engine.manifest.tensors
        self.site_numbers = {site.name: row for row, site in enumerate(engine.manifest.sites)}
        self.fingerprint = _fingerprint(engine)
        self.runners = runners
        self._stages = stages

    async def encode(self, inputs: Inputs, deadline_s: float, requests: int = 1) -> Outputs:
        """Inputs of the contract's `encode` graph, of so many requests together, to its outputs.

        Args:
            inputs: as the contract says.
            deadline_s: a time of `time.monotonic()` after which the answer is of no use.
            requests: how many wait for it.

        Raises:
            Overloaded, DeadlineExceeded, EngineFailure, ShuttingDown: see `Runner.submit`.
        """
        return await self._submit("encode", inputs, deadline_s, requests)

    async def fuse(self, inputs: Inputs, deadline_s: float, requests: int = 1) -> Outputs:
        """The same for `fuse`."""
        return await self._submit("fuse", inputs, deadline_s, requests)

    async def close(self) -> None:
        """Fail what waits, finish what runs."""
        await asyncio.gather(*(runner.close() for runner in self.runners.values()))

    async def _submit(self, graph: str, inputs: Inputs, deadline_s: float, requests: int) -> Outputs:
        def observe(queued_s: float, started_s: float, ended_s: float) -> None:
            self._stages.record(f"queue_{graph}", queued_s, started_s, requests)
            self._stages.record(graph, started_s, ended_s, requests)

        return await self.runners[graph].submit(inputs, deadline_s, observe)


def _fingerprint(engine: Described) -> str:
    """Identifies the weights, so that embeddings of another model never enter a trajectory."""
    manifest = engine.manifest
    identity = [manifest.name, manifest.version, manifest.fingerprint, manifest.files]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _check(engine: Described) -> None:
    manifest = engine.manifest
    for where, calibration in _calibrations(manifest).items():
        for name in _QUANTILES[manifest.contract]:
            if REGION_KEY not in getattr(calibration, name):
                raise ArtifactError(f"{manifest.name}: expected {where}.{name} with {REGION_KEY!r}: export it again")
    for site in manifest.sites:
        for carrier_hz in (None, *site.carriers):
            if site.name not in manifest.calibration_at(carrier_hz).ood_threshold:
                where = "calibration" if carrier_hz is None else f"the calibration at {carrier_hz:.0f} Hz"
                raise ArtifactError(
                    f"{manifest.name}: expected {where} to have an ood_threshold of {site.name}: export it again"
                )
        if _has_array_without_bandwidth(site):
            raise ArtifactError(f"{manifest.name}: expected a bandwidth_hz of {site.name}, which has an array")
        if manifest.tensors is RADIO:
            _check_radio_site(manifest.name, site)


def _calibrations(manifest: Manifest) -> dict[str, Calibration]:
    """Every calibration by its place in the manifest."""
    return {"calibration": manifest.calibration, **{f"carriers.{hz}": c for hz, c in manifest.carriers.items()}}


def _has_array_without_bandwidth(site: Site) -> bool:
    return site.array_rows is not None and not site.bandwidth_hz


def _check_radio_site(name: str, site: Site) -> None:
    """Whether the site measures what a radio artifact needs, and asks for no more than it answers."""
    if site.array_rows is None:
        raise ArtifactError(f"{name}: expected an antenna array of {site.name}, which the model senses by")
    if site.carrier_hz is None or site.carrier_hz not in site.carriers:
        known = ", ".join(f"{hz:.0f}" for hz in site.carriers) or "none"
        raise ArtifactError(f"{name}: expected a carrier_hz of {site.name} out of its carriers_hz ({known})")
    if "activity" in site.tasks:
        raise ArtifactError(f"{name}: expected tasks of {site.name} without activity, which the model does not tell")
