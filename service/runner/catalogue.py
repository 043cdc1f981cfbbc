"""The models that are served by name: every graph of every artifact, whoever runs them."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from service.contract.manifest import Manifest
from service.errors import ModelNotReady, UnknownModel
from service.runner.runner import Runner, model_name

State = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass
class Artifact:
    """One that is loaded, or was.

    Attributes:
        name: of the artifact.
        runners: by the name of their model.
        pinned: whether frames are answered by it: it stays in memory when it is unloaded.
        state: of all of its models.
        reason: why it is not ready, if it is not.
    """

    name: str
    runners: Mapping[str, Runner]
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


Held = TypeVar("Held", bound=Artifact)


class Catalogue(ABC, Generic[Held]):
    """Artifacts in a folder and in memory. Belongs to one event loop."""

    def __init__(self, folder: Path) -> None:
        """Nothing is in memory yet; `folder` is where artifacts are, a folder each."""
        self._folder = folder
        self._artifacts: dict[str, Held] = {}  # by their names
        self._ready: dict[str, Runner] = {}  # by the names of models: what a request needs to find

    def runner(self, name: str, version: str = "") -> Runner:
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

    def ready(self) -> list[Runner]:
        """Every model that is ready, by name."""
        return [self._ready[name] for name in sorted(self._ready)]

    @abstractmethod
    async def load(self, name: str) -> None:
        """Load the artifact of a model, anew where it is loaded: what is served stays so until the new one is warm.

        Raises:
            UnknownModel: there is no such model.
            ArtifactError: it does not fit; what was served is served still.
        """

    @abstractmethod
    async def unload(self, name: str) -> None:
        """Serve the artifact of a model no more; what waits for it is answered first. Raises `UnknownModel`."""

    async def close(self) -> None:
        """Serve nothing more: fail what waits, finish what runs."""
        self._ready.clear()
        runners = [runner for artifact in self._artifacts.values() for runner in artifact.runners.values()]
        await asyncio.gather(*(runner.close() for runner in runners))

    def _on_disk(self) -> dict[Path, Manifest]:
        found = {}
        for path in sorted(self._folder.glob("*/manifest.json")):
            with contextlib.suppress(ValueError):  # what cannot be read is no model; loading it says why
                found[path.parent] = Manifest.load(path.parent)
        return found


def names(manifest: Manifest) -> list[str]:
    """Names of the models of an artifact: its own where it has one graph, else one a graph."""
    graphs = manifest.tensors.graphs
    return [model_name(manifest.name, len(graphs), graph) for graph in graphs]
