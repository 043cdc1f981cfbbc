"""An artifact run by ONNX Runtime, on the processor that was asked for and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import onnxruntime as ort
import structlog

from service.contract.manifest import Manifest
from service.engine.artifact import read_artifact
from service.engine.cores import usable_cores
from service.engine.onnx_graph import OnnxGraph, Provider, open_session, require_provider
from service.engine.protocol import Inputs, Outputs, Plan
from service.engine.tuning import tune

BUCKETS: dict[str, tuple[int, ...]] = {
    "cpu": (),  # a new shape costs nothing here and padding up to twice the work, so rows run as they come
    "cuda": (1, 2, 4, 8, 16, 32, 64, 128, 256),  # a new shape costs a search for convolution kernels
}

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class OnnxEngine:
    """See `service.engine.protocol.Engine`. Made by `load`."""

    def __init__(
        self, manifest: Manifest, graphs: dict[str, OnnxGraph], threads: int, retune: _Opener | None = None
    ) -> None:
        """Take each graph of the manifest's contract; `retune` opens them anew in `warm_up`, as they run fastest."""
        self.manifest = manifest
        self.name = manifest.name
        self._graphs = graphs
        self._plans = {name: Plan(graph.concurrency, threads) for name, graph in graphs.items()}
        self._retune = retune

    @classmethod
    def load(
        cls,
        folder: Path,
        provider: Provider = "cpu",
        intra_op_threads: int | None = None,
        sessions: int | None = None,
        buckets: Sequence[int] | None = None,
        cores: int | None = None,
    ) -> OnnxEngine:
        """Read, check and open an artifact, and try it once.

        Args:
            folder: holds `manifest.json` and a file `<name>.onnx` for each graph.
            provider: where to run.
            intra_op_threads: threads of a session; by default the sessions share the cores.
            sessions: calls that run at the same time. Where neither these nor the threads are given, what is fastest on
                this machine is found out in `warm_up`.
            buckets: row counts to pad to, `()` for none; by default what suits the provider.
            cores: to share out; by default those that this process may use.

        Raises:
            ArtifactError: the artifact does not fit this code, or the provider is not to be had.
        """
        manifest, content = read_artifact(folder)
        require_provider(provider)
        cores = cores or usable_cores()
        opener = _Opener(manifest, content, provider, tuple(BUCKETS[provider] if buckets is None else buckets), cores)
        free = intra_op_threads is None and sessions is None and provider == "cpu"
        sessions = sessions or 1
        threads = intra_op_threads or max(1, cores // sessions)
        graphs = {name: opener.open(name, sessions, threads) for name in content}
        for graph in graphs.values():
            graph.try_out()
        return cls(manifest, graphs, threads, opener if free else None)

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, most preferred first."""
        return next(iter(self._graphs.values())).providers

    def plan(self, graph: str) -> Plan:
        """How a graph is run; final after `warm_up`."""
        return self._plans[graph]

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        """Inputs of a graph to its outputs. Raises `EngineFailure`."""
        return self._graphs[graph].run(inputs)

    def warm_up(self) -> None:
        """Find out how each graph runs fastest, unless that was given; run every bucket. Raises `EngineFailure`."""
        retune, self._retune = self._retune, None
        for name in self._graphs:
            if retune is not None:
                self._graphs[name], self._plans[name] = plan = retune.tune(name)
                rates = {str(rows): round(rate) for rows, rate in plan[1].rates.items()}
                log.info("Tuned", model=self.name, graph=name, **_figures(plan[1]), rows_per_s=rates)
            self._graphs[name].warm_up()


class _Opener:
    """Opens the graphs of an artifact, as often as asked."""

    def __init__(
        self,
        manifest: Manifest,
        content: Mapping[str, bytes],
        provider: Provider,
        buckets: tuple[int, ...],
        cores: int,
    ) -> None:
        self._manifest = manifest
        self._content = content
        self._provider = provider
        self._buckets = buckets
        self._cores = cores

    def open(self, name: str, sessions: int, threads: int) -> OnnxGraph:
        """A graph of so many sessions with so many threads each. Raises `ArtifactError`."""
        title, specs = f"{self._manifest.name}: {name}", self._manifest.tensors.graphs[name]
        opened = partial(open_session, title, self._content[name], specs, self._provider, threads)
        # A session of one thread runs in the thread that calls it: any number of them at once, and the weights are
        # there once. One of several threads has a pool of its own, that calls at the same time would have to share.
        each: list[ort.InferenceSession] = (
            [opened()] * sessions if threads == 1 else [opened() for _ in range(sessions)]
        )
        return OnnxGraph(title, specs, each, self._buckets, self._manifest.tensors.steps)

    def tune(self, name: str) -> tuple[OnnxGraph, Plan]:
        """A graph as it runs fastest."""
        return tune(partial(self.open, name), self._cores)


def _figures(plan: Plan) -> dict[str, int]:
    return {"sessions": plan.sessions, "threads": plan.threads, "rows": plan.rows}
