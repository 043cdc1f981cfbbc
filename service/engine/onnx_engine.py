"""An artifact run by ONNX Runtime, on the processor that was asked for and no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.contract.manifest import Manifest
from service.contract.tensors import TensorSpec
from service.engine.artifact import read_artifact
from service.engine.cores import usable_cores
from service.engine.padding import bucket, pad_rows
from service.engine.protocol import Inputs, Outputs
from service.engine.tensor_checks import check_scene_index, free_sizes, graph_mismatch
from service.errors import ArtifactError, EngineFailure

Provider = Literal["cpu", "cuda"]
PROVIDERS: dict[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
BUCKETS: dict[str, tuple[int, ...]] = {
    "cpu": (),  # a new shape costs nothing here and padding up to twice the work, so rows run as they come
    "cuda": (1, 2, 4, 8, 16, 32, 64, 128, 256),  # a new shape costs a search for convolution kernels
}


class OnnxEngine:
    """See `service.engine.protocol.Engine`. Made by `load`."""

    def __init__(
        self, manifest: Manifest, graphs: dict[str, list[ort.InferenceSession]], buckets: Sequence[int] = ()
    ) -> None:
        """Take sessions of each graph of the manifest's contract, which have been checked."""
        self.manifest = manifest
        self.name = manifest.name
        self.providers: tuple[str, ...] = tuple(graphs["encode"][0].get_providers())
        self.sessions = len(graphs["encode"])
        self._contract = manifest.tensors
        self._buckets = tuple(sorted(buckets))
        self._free: dict[str, SimpleQueue[ort.InferenceSession]] = {name: SimpleQueue() for name in graphs}
        for name, sessions in graphs.items():
            for session in sessions:
                self._free[name].put(session)

    @classmethod
    def load(
        cls,
        folder: Path,
        provider: Provider = "cpu",
        intra_op_threads: int | None = None,
        sessions: int = 1,
        buckets: Sequence[int] | None = None,
    ) -> OnnxEngine:
        """Read, check and open an artifact, and try it once.

        Args:
            folder: holds `manifest.json` and a file `<name>.onnx` for each graph.
            provider: where to run.
            intra_op_threads: threads of a session; by default the sessions share the cores that this process may use.
            sessions: calls that run at the same time.
            buckets: row counts to pad to, `()` for none; by default what suits the provider.

        Raises:
            ArtifactError: the artifact does not fit this code, or the provider is not to be had.
        """
        manifest, content = read_artifact(folder)
        _require_provider(provider)
        options = ort.SessionOptions()
        options.intra_op_num_threads = intra_op_threads or max(1, usable_cores() // sessions)
        graphs = {
            name: [_open(folder, name, content[name], specs, options, provider) for _ in range(sessions)]
            for name, specs in manifest.tensors.graphs.items()
        }
        engine = cls(manifest, graphs, BUCKETS[provider] if buckets is None else buckets)
        engine._try_out(folder)
        return engine

    def encode(self, inputs: Inputs) -> Outputs:
        """Embeddings and gates or router weights of B frames. Raises `EngineFailure`."""
        return self._run("encode", inputs)

    def fuse(self, inputs: Inputs) -> Outputs:
        """Answers for B trajectories of as many steps as the contract says. Raises `EngineFailure`."""
        return self._run("fuse", inputs)

    def warm_up(self) -> None:
        """Run every bucket on every session, one row where there are no buckets. Raises `EngineFailure`."""
        for rows in self._buckets or (1,):
            # Kernels are searched per layer, and no layer sees both B and S: no need for every pair of the two.
            for name, sizes in (
                ("encode", {"B": rows, "S": 1}),
                ("encode", {"B": 1, "S": rows}),
                ("fuse", {"B": rows}),
            ):
                for _ in range(self.sessions):  # they take turns
                    self._run(name, self._blank(name, sizes))

    def _run(self, name: str, inputs: Inputs) -> Outputs:
        specs, results = self._contract.graphs[name]
        sizes = free_sizes(specs, inputs)
        if "scene_index" in inputs:
            check_scene_index(inputs)
        padded = pad_rows(specs, inputs, {dim: bucket(size, self._buckets) for dim, size in sizes.items()})
        session = self._free[name].get()
        try:
            values = session.run([spec.name for spec in results], padded)
        except Exception as error:  # ONNX Runtime has no base class of its own
            raise EngineFailure(f"{self.name}: {name} failed on {sizes}: {error}") from error
        finally:
            self._free[name].put(session)
        return {spec.name: value[: sizes["B"]] for spec, value in zip(results, values, strict=True)}

    def _blank(self, name: str, sizes: dict[str, int]) -> dict[str, NDArray[np.generic]]:
        """Inputs of the given sizes that mean nothing but are valid: all present, all zero."""
        specs, _ = self._contract.graphs[name]
        return {spec.name: _blank_tensor(spec, {**sizes, "T": self._contract.steps}) for spec in specs}

    def _try_out(self, folder: Path) -> None:
        """Run each graph on sizes that tell the free dimensions apart, and check what comes out."""
        for name, (_, results) in self._contract.graphs.items():
            try:
                outputs = self._run(name, self._blank(name, {"B": 3, "S": 2}))
                sizes = free_sizes(results, outputs)
            except EngineFailure as error:
                raise ArtifactError(f"{folder}: {name}: expected it to run, got: {error}") from error
            if sizes["B"] != 3:
                raise ArtifactError(f"{folder}: {name}: expected 3 rows from 3 frames, got {sizes['B']}")


def _require_provider(provider: Provider) -> None:
    available = ort.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise ArtifactError(
            f"provider: expected {PROVIDERS[provider]} as asked for, but this ONNX Runtime has only "
            f"{', '.join(available)}: install the package that has it (onnxruntime-gpu in place of onnxruntime), "
            "or ask for another provider"
        )
    if provider == "cuda":
        ort.preload_dlls()  # finds CUDA libraries that were installed as Python packages


def _open(
    folder: Path,
    name: str,
    content: bytes,
    specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
    options: ort.SessionOptions,
    provider: Provider,
) -> ort.InferenceSession:
    try:
        session = ort.InferenceSession(content, options, providers=[PROVIDERS[provider]], enable_fallback=0)
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ArtifactError(f"{folder}: {name}: expected a graph that ONNX Runtime can open, got: {error}") from error
    used = session.get_providers()
    if used[0] != PROVIDERS[provider]:  # it may go to the CPU with no more than a line in the log
        raise ArtifactError(
            f"provider: expected {PROVIDERS[provider]} as asked for, got {', '.join(used)}: "
            "check the driver and the CUDA libraries, or ask for the provider cpu"
        )
    found = (session.get_inputs(), session.get_outputs())
    for what, wanted, tensors in zip(("inputs", "outputs"), specs, found, strict=True):
        if mismatch := graph_mismatch(wanted, tensors):
            raise ArtifactError(f"{folder}: {name} {what}: {mismatch}: export the artifact again with this version")
    return session


def _blank_tensor(spec: TensorSpec, sizes: dict[str, int]) -> NDArray[np.generic]:
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
    return cast(NDArray[np.generic], np.full(shape, 1 if spec.name.endswith("_mask") else 0, spec.dtype))
