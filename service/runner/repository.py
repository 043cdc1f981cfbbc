"""The models that are served by name: every graph of every artifact, loaded and unloaded while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from service.contract.manifest import Manifest
from service.engine.protocol import Engine
from service.errors import ArtifactError, ModelNotReady, UnknownModel
from service.runner.graph_runner import GraphRunner

State = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
Load = Callable[[Path], Engine]
Runners = Callable[[Engine], Mapping[str, GraphRunner]]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass
class Artifact:
    """One that is loaded, or was.

    Attributes:
        engine: that runs it.
        runners: by the name of their model.
        pinned: whether frames are answered by it: it stays in memory when it is unloaded.
        state: of all of its models.
        reason: why it is not ready, if it is not.
    """

    engine: Engine
    runners: dict[str, GraphRunner]
    pinned: bool
    state: State = "LOADING"
    reason: str = ""


@dataclass(frozen=True)
class Model:
    """What is known of a model by name."""

    name: str
    version: str
    state: State
    reason: str


class Repository:
    """Artifacts in a folder. Belongs to one event loop."""

    def __init__(self, folder: Path, load: Load | None, runners: Runners) -> None:
        """Nothing is served before `add` or `load`.

        Args:
            folder: where artifacts are, a folder each.
            load: opens one; None where nothing can be loaded while the service runs.
            runners: makes what runs the graphs of an engine.
        """
        self._folder = folder
        self._load = load
        self._make_runners = runners
        self._artifacts: dict[str, Artifact] = {}  # by their names
        self._ready: dict[str, GraphRunner] = {}  # by the names of models: what a request needs to find
        self._changing = asyncio.Lock()

    def add(self, engine: Engine, runners: Mapping[str, GraphRunner] | None = None) -> None:
        """Serve an engine once it is `ready`; with runners, frames are answered by them too."""
        made = self._make_runners(engine) if runners is None else runners
        named = {runner.name: runner for runner in made.values()}
        self._artifacts[engine.name] = Artifact(engine, named, pinned=runners is not None)

    async def warm_up(self) -> None:
        """Make ready what was added without runners."""
        for artifact in self._artifacts.values():
            if artifact.state == "LOADING" and not artifact.pinned:
                await self._make_ready(artifact)

    def publish_pinned(self) -> None:
        """Serve what was added with runners: its engine is warm."""
        for artifact in self._artifacts.values():
            if artifact.pinned:
                self._publish(artifact)

    def runner(self, name: str, version: str = "") -> GraphRunner:
        """What runs a model.

        Raises:
            UnknownModel: there is no such model, or not in this version.
            ModelNotReady: it is not loaded, or not warm yet.
        """
        runner = self._ready.get(name)
        if runner is None:
            model = self.model(name)
            raise ModelNotReady(f"model {name} is {model.state.lower()}: {model.reason or 'load it first, or wait'}")
        if version and version != runner.version:
            raise UnknownModel("version", f"{runner.version} of {name}", repr(version[:64]))
        return runner

    def model(self, name: str) -> Model:
        """What is known of a model. Raises `UnknownModel`."""
        found = {model.name: model for model in self.index()}
        if name not in found:
            raise UnknownModel("model", f"one of {', '.join(sorted(found))}", repr(name[:64]))
        return found[name]

    def index(self) -> list[Model]:
        """Every model in the folder or in memory, by name."""
        models = {}
        for manifest in self._on_disk().values():
            for name in names(manifest):
                models[name] = Model(name, manifest.version, "UNAVAILABLE", "not loaded")
        for artifact in self._artifacts.values():
            for name, runner in artifact.runners.items():
                models[name] = Model(name, runner.version, artifact.state, artifact.reason)
        return [models[name] for name in sorted(models)]

    def ready(self) -> list[GraphRunner]:
        """Every model that is ready, by name."""
        return [self._ready[name] for name in sorted(self._ready)]

    async def load(self, name: str) -> None:
        """Load the artifact of a model, anew where it is loaded: what is served stays so until the new one is warm.

        Raises:
            UnknownModel: there is no such model.
            ArtifactError: it does not fit; what was served is served still.
        """
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
        """Serve the artifact of a model no more; what waits for it is answered first. Raises `UnknownModel`."""
        async with self._changing:
            held = self._holding(name)
            if held is None:
                self.model(name)
                return
            for each in held.runners:
                self._ready.pop(each, None)
            held.state, held.reason = "UNLOADING", "unloaded"
            if not held.pinned:
                await _drained(held)
                del self._artifacts[held.engine.name]
            held.state = "UNAVAILABLE"

    async def close(self) -> None:
        """Serve nothing more: fail what waits, finish what runs."""
        self._ready.clear()
        runners = [runner for artifact in self._artifacts.values() for runner in artifact.runners.values()]
        await asyncio.gather(*(runner.close() for runner in runners))

    async def _make_ready(self, artifact: Artifact) -> None:
        await asyncio.to_thread(artifact.engine.warm_up)
        for runner in artifact.runners.values():
            runner.follow_plan()
        self._publish(artifact)
        log.info("Model ready", models=sorted(artifact.runners), version=artifact.engine.manifest.version)

    def _publish(self, artifact: Artifact) -> None:
        self._ready.update(artifact.runners)
        artifact.state, artifact.reason = "READY", ""

    def _holding(self, name: str) -> Artifact | None:
        return next((artifact for artifact in self._artifacts.values() if name in artifact.runners), None)

    def _on_disk(self) -> dict[Path, Manifest]:
        found = {}
        for path in sorted(self._folder.glob("*/manifest.json")):
            with contextlib.suppress(ValueError):  # what cannot be read is no model; loading it says why
                found[path.parent] = Manifest.load(path.parent)
        return found


def names(manifest: Manifest) -> Sequence[str]:
    """Names of the models of an artifact: its own where it has one graph, else one a graph."""
    graphs = manifest.tensors.graphs
    return [manifest.name] if len(graphs) == 1 else [f"{manifest.name}-{graph}" for graph in graphs]


async def _drained(artifact: Artifact) -> None:
    for runner in artifact.runners.values():
        await runner.drain()
        await runner.close()
