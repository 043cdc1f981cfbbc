"""The models that this process runs: loaded and unloaded while the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.engine.protocol import Engine
from service.errors import ArtifactError
from service.runner.catalogue import Artifact, Catalogue, names
from service.runner.graph_runner import GraphRunner

HANDOVER_S = 0.1  # other processes may ask for a model that was replaced until they have heard of it

Load = Callable[[Path], Engine]
Runners = Callable[[Engine], Mapping[str, GraphRunner]]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(kw_only=True)
class Loaded(Artifact):
    """An artifact with its engine."""

    engine: Engine
    runners: Mapping[str, GraphRunner]


class Repository(Catalogue[Loaded]):
    """See `Catalogue`."""

    def __init__(
        self, folder: Path, load: Load | None, runners: Runners, changed: Callable[[], None] = lambda: None
    ) -> None:
        """Nothing is served before `add` or `load`.

        Args:
            folder: where artifacts are, a folder each.
            load: opens one; None where nothing can be loaded while the service runs.
            runners: makes what runs the graphs of an engine.
            changed: called whenever models become ready, or are so no more.
        """
        super().__init__(folder)
        self._load = load
        self._make_runners = runners
        self._changed = changed
        self._changing = asyncio.Lock()

    @property
    def artifacts(self) -> list[Loaded]:
        """All that is in memory."""
        return list(self._artifacts.values())

    def add(self, engine: Engine) -> None:
        """Serve an engine once it is warm."""
        self._hold(engine, pinned=False)

    def pin(self, engine: Engine) -> Mapping[str, GraphRunner]:
        """The same for one by which frames are answered, by the runners that are returned, too."""
        return self._hold(engine, pinned=True)

    async def warm_up(self) -> None:
        """Make ready what was added; last, and together, those by which frames are answered.

        Raises `EngineFailure`, or whatever else kept an engine from it.
        """
        loading = [artifact for artifact in self.artifacts if artifact.state == "LOADING"]
        pinned = [artifact for artifact in loading if artifact.pinned]
        for artifact in loading:
            if not artifact.pinned:
                await self._make_ready(artifact)
        for artifact in pinned:
            await _warm(artifact)
        for artifact in pinned:
            self._publish(artifact)

    async def load(self, name: str) -> None:
        """See `Catalogue.load`."""
        async with self._changing:
            held = self._holding(name)
            if held is not None and held.pinned:
                self._publish(held)
                return
            folder = next((folder for folder, m in self._on_disk().items() if name in names(m)), None)
            if folder is None or self._load is None:
                self.model(name)  # says which there are
                raise ArtifactError(f"{name}: nothing can be loaded while this service runs")
            engine = await asyncio.to_thread(self._load, folder)
            self.add(engine)
            artifact = self._artifacts[engine.name]
            try:
                await self._make_ready(artifact)
            except BaseException:
                if held is not None:
                    self._artifacts[engine.name] = held
                raise
            if held is not None:
                await _drained(held)

    async def unload(self, name: str) -> None:
        """See `Catalogue.unload`."""
        async with self._changing:
            held = self._holding(name)
            if held is None:
                self.model(name)
                return
            for each in held.runners:
                self._ready.pop(each, None)
            held.state, held.reason = "UNLOADING", "unloaded"
            self._changed()
            if not held.pinned:
                await _drained(held)
                del self._artifacts[held.name]
            held.state = "UNAVAILABLE"
            self._changed()

    def _hold(self, engine: Engine, pinned: bool) -> Mapping[str, GraphRunner]:
        made = self._make_runners(engine)
        named = {runner.name: runner for runner in made.values()}
        self._artifacts[engine.name] = Loaded(name=engine.name, engine=engine, runners=named, pinned=pinned)
        return made

    async def _make_ready(self, artifact: Loaded) -> None:
        await _warm(artifact)
        self._publish(artifact)

    def _publish(self, artifact: Loaded) -> None:
        self._ready.update(artifact.runners)
        artifact.state, artifact.reason = "READY", ""
        log.info("Model ready", models=sorted(artifact.runners), version=artifact.engine.manifest.version)
        self._changed()

    def _holding(self, name: str) -> Loaded | None:
        return next((artifact for artifact in self._artifacts.values() if name in artifact.runners), None)


async def _warm(artifact: Loaded) -> None:
    """Raises what the engine raises."""
    await asyncio.to_thread(artifact.engine.warm_up)
    for runner in artifact.runners.values():
        runner.follow_plan()


async def _drained(artifact: Loaded) -> None:
    await asyncio.sleep(HANDOVER_S)
    for runner in artifact.runners.values():
        await runner.drain()
        await runner.close()
