"""The processor that graphs run on: how ONNX Runtime is told to use it, and how it is made sure that it does."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import onnxruntime as ort

from service.contract.tensors import TensorSpec
from service.errors import ArtifactError

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
SHAPE_OPERATORS = frozenset(
    (
        *("Shape", "Size", "Range", "Constant", "ConstantOfShape", "Identity", "Cast", "Where", "Equal"),
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Min", "Max", "ReduceProd"),
        *("Concat", "Expand", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Unsqueeze"),
    )
)
"""What sizes are computed with: ONNX Runtime does that on the CPU, beside the device, and rightly so."""

Options = list[tuple[str, dict[str, str]]]
"""Execution providers, most preferred first, each with its options."""


@dataclass(frozen=True)
class Device:
    """A processor and how it is used. All engines of a process that run on the same one share this object.

    Attributes:
        provider: where to run.
        memory_bytes: most bytes of device memory for the intermediate results of one graph; None for no limit.
        cuda_graphs: whether the kernels of a bucket are recorded once and replayed, on CUDA.
        tf32: whether CUDA may round products to the 10 bits that TF32 keeps.
        tensorrt_fp16: whether TensorRT may compute in half precision.
        tensorrt_cache: folder for the engines that TensorRT builds; None builds them at every start.
        thread: what is done on a GPU is done in it. ONNX Runtime keeps the CUDA graphs that it recorded by thread, and
            nothing else may allocate on the device while one is recorded.
    """

    provider: Provider = "cpu"
    memory_bytes: int | None = None
    cuda_graphs: bool = True
    tf32: bool = False
    tensorrt_fp16: bool = False
    tensorrt_cache: Path | None = None
    thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "device"), repr=False, compare=False
    )

    @property
    def replays(self) -> bool:
        """Whether runs are replays of CUDA graphs."""
        return self.provider == "cuda" and self.cuda_graphs

    def options(
        self,
        title: str,
        content: bytes,
        inputs: Sequence[TensorSpec],
        buckets: Sequence[int],
        fixed: Mapping[str, int],
    ) -> Options:
        """What to open a session with.

        Args:
            title: of the graph.
            content: the graph, as in its file.
            inputs: of the graph.
            buckets: row counts that it will be run on, ascending.
            fixed: sizes of dimensions that have one.
        """
        if self.provider == "cpu":
            return [(PROVIDERS["cpu"], {})]
        cuda = (PROVIDERS["cuda"], self._cuda())
        if self.provider == "cuda":
            return [cuda]
        name = f"{re.sub(r'[^A-Za-z0-9]+', '-', title)}-{hashlib.sha256(content).hexdigest()[:16]}"
        return [(PROVIDERS["tensorrt"], self._tensorrt(name, _profiles(inputs, buckets, fixed))), cuda]

    def _cuda(self) -> dict[str, str]:
        limit = {} if self.memory_bytes is None else {"gpu_mem_limit": str(self.memory_bytes)}
        return {
            "arena_extend_strategy": "kSameAsRequested",  # by default it doubles: half of it may never be used
            "cudnn_conv_algo_search": "EXHAUSTIVE",  # every bucket is searched once, before ready
            "use_tf32": _flag(self.tf32),
            "enable_cuda_graph": _flag(self.replays),
            **limit,
        }

    def _tensorrt(self, name: str, profiles: Mapping[str, str]) -> dict[str, str]:
        options = {"trt_fp16_enable": _flag(self.tensorrt_fp16), **profiles}
        if self.memory_bytes is not None:
            options["trt_max_workspace_size"] = str(self.memory_bytes)
        if self.tensorrt_cache is not None:
            folder = str(self.tensorrt_cache)
            options |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": folder,
                "trt_engine_cache_prefix": name,  # never that of other weights
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": folder,
            }
        return options


class GraphPart(Protocol):
    """Nodes of a graph and the provider that has them, as ONNX Runtime tells it."""

    ep_name: str

    def get_nodes(self) -> Sequence[GraphNode]:
        """The nodes."""


class GraphNode(Protocol):
    """A node of a graph."""

    op_type: str


def require_provider(provider: Provider) -> None:
    """Raise `ArtifactError` where this ONNX Runtime does not have the provider."""
    available = ort.get_available_providers()
    if PROVIDERS[provider] not in available:
        raise ArtifactError(
            f"provider: expected {PROVIDERS[provider]} as asked for, but this ONNX Runtime has only "
            f"{', '.join(available)}: install the package that has it (onnxruntime-gpu in place of onnxruntime), "
            "or ask for another provider"
        )
    if provider != "cpu":
        ort.preload_dlls()  # finds CUDA libraries that were installed as Python packages


def require_use(title: str, provider: Provider, used: Sequence[str], parts: Iterable[GraphPart] = ()) -> None:
    """Raise `ArtifactError` where a graph, or a part of it that computes, went elsewhere than asked.

    Args:
        title: of the graph, for messages.
        provider: that was asked for.
        used: providers of the session, most preferred first.
        parts: what each of them has; of no interest on the CPU.
    """
    asked = PROVIDERS[provider]
    if not used or used[0] != asked:  # it may go to the CPU with no more than a line in the log
        raise ArtifactError(
            f"provider: expected {asked} as asked for, got {', '.join(used)}: check the driver and the "
            "libraries (CUDA, cuDNN, for tensorrt those of TensorRT too), or ask for the provider cpu"
        )
    if provider == "cpu":
        return
    operators: dict[str, Counter[str]] = {}
    for part in parts:
        operators.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    left = {name: n for name, n in operators.get(PROVIDERS["cpu"], {}).items() if name not in SHAPE_OPERATORS}
    if left or asked not in operators:
        what = ", ".join(f"{count} × {name}" for name, count in sorted(left.items())) or "any of it"
        raise ArtifactError(
            f"{title}: expected all that computes on {asked}, but ONNX Runtime has no kernel there for {what}: "
            "export the artifact with other operators, or ask for another provider"
        )


def _profiles(inputs: Sequence[TensorSpec], buckets: Sequence[int], fixed: Mapping[str, int]) -> dict[str, str]:
    """Shapes for one engine of TensorRT's for all buckets: without them a larger size than before takes a new one."""
    profiles = {}
    for which, rows in zip(("min", "opt", "max"), _least_middle_most(buckets), strict=False):
        shapes = {spec.name: [fixed.get(d, rows) if isinstance(d, str) else d for d in spec.shape] for spec in inputs}
        each = [f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items()]
        profiles[f"trt_profile_{which}_shapes"] = ",".join(each)
    return profiles


def _least_middle_most(buckets: Sequence[int]) -> Sequence[int]:
    return (buckets[0], buckets[len(buckets) // 2], buckets[-1]) if buckets else ()


def _flag(value: bool) -> str:
    return "1" if value else "0"
