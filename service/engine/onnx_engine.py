"""An artifact run by ONNX Runtime, on the processor that was asked for and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from service.contract.manifest import Manifest
from service.engine.artifact import read_artifact
from service.engine.cores import usable_cores
from service.engine.device import Device, require_provider
from service.engine.memory import return_freed_memory
from service.engine.onnx_graph import OnnxGraph, open_graph
from service.engine.protocol import Inputs, Outputs, Plan
from service.engine.tuning import tune

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Row counts that a GPU runs: a new shape costs it a search for kernels, a recording, with TensorRT a new engine. On a
CPU it costs nothing, and padding up to twice the work, so there rows run as they come."""
AHEAD = 2  # calls to a GPU at the same time: while one runs, the inputs of the next are put together

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class OnnxEngine:
    """See `service.engine.protocol.Engine`. Made by `load`."""

    def __init__(
        self,
        manifest: Manifest,
        graphs: dict[str, OnnxGraph],
        threads: int,
        retune: _Opener | None = None,
        side_by_side: bool = True,
    ) -> None:
        """Take each graph of the manifest's contract; `retune` opens them anew in `warm_up`, as they run fastest."""
        self.manifest = manifest
        self.name = manifest.name
        self._graphs = graphs
        self._plans = {
            name: Plan(graph.concurrency, threads, side_by_side=side_by_side) for name, graph in graphs.items()
        }
        self._retune = retune

    @classmethod
    def load(
        cls,
        folder: Path,
        device: Device | None = None,
        intra_op_threads: int | None = None,
        sessions: int | None = None,
        buckets: Sequence[int] | None = None,
        cores: int | None = None,
    ) -> OnnxEngine:
        """Read, check and open an artifact, and try it once.

        Args:
            folder: holds `manifest.json` and a file `<name>.onnx` for each graph.
            device: where to run; by default this CPU.
            intra_op_threads: threads of a session; by default the sessions share the cores.
            sessions: calls that run at the same time. Where neither these nor the threads are given, what is fastest on
                this machine is found out in `warm_up`.
            buckets: row counts to pad to, `()` for none; by default what suits the provider.
            cores: to share out; by default those that this process may use.

        Raises:
            ArtifactError: the artifact does not fit this code, or the provider is not to be had.
        """
        manifest, content = read_artifact(folder)
        device, cores = device or Device(), cores or usable_cores()
        on_cpu = device.provider == "cpu"
        require_provider(device.provider)
        if buckets is None:
            buckets = () if on_cpu else BUCKETS
        opener = _Opener(manifest, content, device, tuple(buckets), cores)
        free = intra_op_threads is None and sessions is None and on_cpu
        if free:
            sessions = cores  # what is fastest nearly always, and needed in any case to find out
        sessions = sessions or (1 if on_cpu else AHEAD)
        threads = intra_op_threads or max(1, cores // sessions)
        graphs = {name: opener.open(name, sessions, threads) for name in content}
        for graph in graphs.values():
            graph.try_out()
        return cls(manifest, graphs, threads, opener if free else None, side_by_side=on_cpu)

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
                self._graphs[name], plan = retune.tune(name)
                self._plans[name] = plan
                if plan.lone_threads > plan.threads:
                    self._graphs[name].widen(retune.open(name, 1, plan.lone_threads))
                rates = {str(rows): round(rate) for rows, rate in plan.rates.items()}
                log.info("Tuned", model=self.name, graph=name, **_figures(plan), rows_per_s=rates)
            self._graphs[name].warm_up()
        if retune is not None:
            retune.close()
            for graph in self._graphs.values():
                graph.shrink()
            return_freed_memory()


class _Opener:
    """Opens the graphs of an artifact, as often as asked."""

    def __init__(
        self, manifest: Manifest, content: Mapping[str, bytes], device: Device, buckets: tuple[int, ...], cores: int
    ) -> None:
        self._manifest = manifest
        self._content = content
        self._device = device
        self._buckets = buckets
        self._cores = cores
        self._opened: dict[tuple[str, int, int], OnnxGraph] = {}

    def open(self, name: str, sessions: int, threads: int) -> OnnxGraph:
        """A graph of so many sessions with so many threads each, once however often asked. Raises `ArtifactError`."""
        key = (name, sessions, threads)
        if key not in self._opened:
            self._opened[key] = self._open(*key)
        return self._opened[key]

    def tune(self, name: str) -> tuple[OnnxGraph, Plan]:
        """A graph as it runs fastest."""
        return tune(partial(self.open, name), self._cores)

    def close(self) -> None:
        """Forget the graphs that were opened: those that are not in use are gone."""
        self._opened.clear()

    def _open(self, name: str, sessions: int, threads: int) -> OnnxGraph:
        contract = self._manifest.tensors
        return open_graph(
            f"{self._manifest.name}: {name}",
            self._content[name],
            contract.graphs[name],
            self._device,
            sessions=sessions,
            threads=threads,
            buckets=self._buckets,
            steps=contract.steps,
        )


def _figures(plan: Plan) -> dict[str, int]:
    return {
        "sessions": plan.sessions,
        "threads": plan.threads,
        "rows": plan.rows,
        "threads_of_a_lone_row": plan.lone_threads,
    }
