"""The models that an engine in another process runs, as a gateway sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog

from service.contract.manifest import Manifest
from service.remote.link import EngineLink
from service.remote.messages import Served, ServedArtifact
from service.remote.runner import RemoteRunner
from service.runner.catalogue import Artifact, Catalogue
from service.runner.runner import Runner

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class RemoteEngine:
    """What is known of an engine in another process."""

    described: ServedArtifact = field(repr=False)

    @cached_property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""
        return Manifest.from_json(self.described.manifest)

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return self.manifest.name

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, most preferred first."""
        return self.described.providers


@dataclass(kw_only=True)
class Mirrored(Artifact):
    """An artifact that an engine holds; `by_graph` are its runners by the names of their graphs."""

    manifest: dict[str, Any]
    by_graph: dict[str, RemoteRunner]


class Mirror(Catalogue[Mirrored]):
    """See `Catalogue`. Shows what the engine said last.

    Attributes:
        link: to the engine, with the segment in which requests may be received.
        engines: the engine of each site, by the site's name, as they were when this process started.
    """

    def __init__(self, folder: Path, link: EngineLink, served: Served) -> None:
        """Nothing is ready before the engine says so.

        Args:
            folder: where artifacts are, a folder each.
            link: to the engine; not connected yet.
            served: what the engine has loaded at its start.
        """
        super().__init__(folder)
        self.link = link
        self._on_told: Callable[[bool], None] = lambda ready: None
        artifacts = [RemoteEngine(artifact) for artifact in served.artifacts]
        self.engines = {site: engine for engine in artifacts for site in engine.described.sites}
        link.follow(self._told)

    def start(self, told: Callable[[bool], None]) -> None:
        """Connect. `told` is called whenever the engine has said something of its models, or is gone.

        It is told whether all that the engine loaded at its start is warm.
        """
        self._on_told = told
        self.link.start()

    def pin(self, engine: RemoteEngine) -> dict[str, RemoteRunner]:
        """Runners of an artifact by which frames are answered, by graph. They stay when the engine is replaced."""
        artifact = self._artifacts[engine.name] = self._mirrored(engine.described)
        return artifact.by_graph

    async def close(self) -> None:
        """See `Catalogue.close`."""
        await super().close()
        await self.link.close()

    async def load(self, name: str) -> None:
        """See `Catalogue.load`; raises `NotReady` where there is no engine."""
        await self.link.load(name)

    async def unload(self, name: str) -> None:
        """See `Catalogue.unload`; raises `NotReady` where there is no engine."""
        await self.link.unload(name)

    def _told(self, served: Served | None) -> None:
        if served is None:
            for artifact in self._artifacts.values():
                artifact.state, artifact.reason = "LOADING", "the engine is being started"
                for runner in artifact.by_graph.values():
                    runner.number = None
        else:
            self._follow(served)
        ready: dict[str, Runner] = {}
        for artifact in self._artifacts.values():
            if artifact.state == "READY":
                ready.update(artifact.runners)
        self._ready = ready
        self._on_told(served is not None and served.ready)

    def _follow(self, served: Served) -> None:
        told = {artifact.manifest["name"]: artifact for artifact in served.artifacts}
        for name in [name for name, held in self._artifacts.items() if name not in told and not held.pinned]:
            del self._artifacts[name]
        for name, each in told.items():
            held = self._artifacts.get(name)
            if held is None or (held.manifest != each.manifest and not held.pinned):
                held = self._artifacts[name] = self._mirrored(each)
            if held.manifest != each.manifest:  # of a pinned one: the process that watches this one will replace it
                held.state, held.reason = "UNAVAILABLE", "the engine serves another version of it since its restart"
                continue
            held.state, held.reason = each.state, each.reason
            for graph, runner in held.by_graph.items():
                runner.number, runner.max_rows = each.graphs[graph].number, each.graphs[graph].max_rows

    def _mirrored(self, described: ServedArtifact) -> Mirrored:
        manifest = Manifest.from_json(described.manifest)
        by_graph = {graph: RemoteRunner(self.link, manifest, graph) for graph in manifest.tensors.graphs}
        return Mirrored(
            name=manifest.name,
            runners={runner.name: runner for runner in by_graph.values()},
            pinned=bool(described.sites),
            manifest=described.manifest,
            by_graph=by_graph,
        )
