"""One graph of an artifact, opened by ONNX Runtime and checked against its specification."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Literal, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.padding import bucket, pad_rows
from service.engine.protocol import Inputs, Outputs
from service.engine.tensor_checks import check_scene_index, free_sizes, graph_mismatch
from service.errors import ArtifactError, EngineFailure

Provider = Literal["cpu", "cuda"]
Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]
PROVIDERS: dict[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxGraph:
    """Runs one graph, from several threads at once."""

    def __init__(
        self,
        title: str,
        specs: Specs,
        sessions: Sequence[ort.InferenceSession],
        buckets: Sequence[int] = (),
        steps: int = 0,
    ) -> None:
        """Take what has been checked.

        Args:
            title: for messages: artifact and graph.
            specs: inputs and outputs.
            sessions: one for each run at the same time; the same one may be there several times.
            buckets: row counts to pad to, ascending; none: rows run as they come.
            steps: T, where the graph has such a dimension.
        """
        self.title = title
        self.specs = specs
        self.buckets = tuple(buckets)
        self.concurrency = len(sessions)
        self.providers: tuple[str, ...] = tuple(sessions[0].get_providers())
        self._steps = steps
        self._output_names = [spec.name for spec in specs[1]]
        self._free: SimpleQueue[ort.InferenceSession] = SimpleQueue()
        for session in sessions:
            self._free.put(session)

    def run(self, inputs: Inputs) -> Outputs:
        """Inputs by name to outputs by name. Raises `EngineFailure`."""
        specs, results = self.specs
        sizes = free_sizes(specs, inputs, self._steps)
        if "scene_index" in inputs:
            check_scene_index(inputs)
        padded = {dim: bucket(size, self.buckets) for dim, size in sizes.items()}
        tensors = pad_rows(specs, inputs, padded)
        session = self._free.get()
        try:
            values = session.run(self._output_names, tensors)
        except Exception as error:  # ONNX Runtime has no base class of its own
            raise EngineFailure(f"{self.title} failed on {sizes}: {error}") from error
        finally:
            self._free.put(session)
        outputs = dict(zip(self._output_names, values, strict=True))
        if padded != sizes:
            outputs |= {spec.name: outputs[spec.name][: sizes["B"]] for spec in results if spec.shape[:1] == ("B",)}
        return outputs

    @property
    def free(self) -> set[str]:
        """Dimensions of the inputs that may have any size."""
        every = {str(dim) for spec in self.specs[0] for dim in spec.shape if isinstance(dim, str)}
        return every - {"T"} if self._steps else every

    def blank(self, sizes: dict[str, int]) -> dict[str, NDArray[np.generic]]:
        """Inputs of the given sizes that mean nothing but are valid: all present, all zero."""
        fixed = {"T": self._steps} if self._steps else {}
        return {spec.name: _blank_tensor(spec, {**sizes, **fixed}) for spec in self.specs[0]}

    def warm_up(self) -> None:
        """Run every bucket on every session, one row where there are no buckets. Raises `EngineFailure`."""
        free = self.free
        for rows in self.buckets or (1,):
            # Kernels are searched per layer, and no layer sees two free sizes: no need for every pair of them.
            for wide in sorted(free) or ("B",):
                for _ in range(self.concurrency):  # they take turns
                    self.run(self.blank({dim: rows if dim == wide else 1 for dim in free}))

    def try_out(self) -> None:
        """Run it on sizes that tell the free dimensions apart, and check what comes out. Raises `ArtifactError`."""
        sizes = {dim: 3 if dim == "B" else 2 for dim in self.free}
        try:
            found = free_sizes(self.specs[1], self.run(self.blank(sizes)), self._steps)
        except EngineFailure as error:
            raise ArtifactError(f"{self.title}: expected it to run, got: {error}") from error
        if found.get("B", 3) != 3:
            raise ArtifactError(f"{self.title}: expected 3 rows from 3 frames, got {found['B']}")


def open_session(
    title: str, content: bytes, specs: Specs, provider: Provider, intra_op_threads: int
) -> ort.InferenceSession:
    """Open a graph on a provider. Raises `ArtifactError` where it does not open there or is not what `specs` say."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    # Threads that wait by spinning look fast on an idle machine, and take the cores from the gateway on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(content, options, providers=[PROVIDERS[provider]], enable_fallback=0)
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ArtifactError(f"{title}: expected a graph that ONNX Runtime can open, got: {error}") from error
    used = session.get_providers()
    if used[0] != PROVIDERS[provider]:  # it may go to the CPU with no more than a line in the log
        raise ArtifactError(
            f"provider: expected {PROVIDERS[provider]} as asked for, got {', '.join(used)}: "
            "check the driver and the CUDA libraries, or ask for the provider cpu"
        )
    found = (session.get_inputs(), session.get_outputs())
    for what, wanted, tensors in zip(("inputs", "outputs"), specs, found, strict=True):
        if mismatch := graph_mismatch(wanted, tensors):
            raise ArtifactError(f"{title} {what}: {mismatch}: export the artifact again with this version")
    return session


def require_provider(provider: Provider) -> None:
    """Raise `ArtifactError` where this ONNX Runtime does not have the provider."""
    available = ort.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise ArtifactError(
            f"provider: expected {PROVIDERS[provider]} as asked for, but this ONNX Runtime has only "
            f"{', '.join(available)}: install the package that has it (onnxruntime-gpu in place of onnxruntime), "
            "or ask for another provider"
        )
    if provider == "cuda":
        ort.preload_dlls()  # finds CUDA libraries that were installed as Python packages


def _blank_tensor(spec: TensorSpec, sizes: dict[str, int]) -> NDArray[np.generic]:
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
    return cast(NDArray[np.generic], np.full(shape, 1 if spec.name.endswith("_mask") else 0, spec.dtype))
