"""What the Open Inference Protocol says of the server and of its models, as JSON-ready values.

Source: KServe Open Inference Protocol v2, "server metadata", "model metadata"; Triton's extensions "statistics",
"model_configuration" and "model_repository".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.contract.tensors import TensorSpec
from service.oip.codec import datatype
from service.runner.catalogue import Model
from service.runner.runner import Runner
from service.runner.statistics import Duration, GraphStatistics, RunStatistics
from service.version import package_version

NAME = "cellsense"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
PLATFORM = "onnxruntime_onnx"


def server_metadata() -> dict[str, Any]:
    """Name, version, extensions."""
    return {"name": NAME, "version": package_version(), "extensions": list(EXTENSIONS)}


def model_metadata(runner: Runner) -> dict[str, Any]:
    """Tensors of a model; -1 is any size of 1 or more."""
    return {
        "name": runner.name,
        "versions": [runner.version],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in runner.inputs],
        "outputs": [_tensor(spec) for spec in runner.outputs],
    }


def model_config(runner: Runner) -> dict[str, Any]:
    """The same as a configuration: `max_batch_size` is the most rows that requests are put together to, 0 for none."""
    return {
        "name": runner.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": runner.max_rows if runner.by_rows else 0,
        "input": [_config_tensor(spec, runner.by_rows) for spec in runner.inputs],
        "output": [_config_tensor(spec, runner.by_rows) for spec in runner.outputs],
        **({"dynamic_batching": {}} if runner.by_rows else {}),
    }


async def statistics(runners: Sequence[Runner]) -> dict[str, Any]:
    """What models have done. Durations are sums, in nanoseconds; those of `batch_stats` are once a run.

    Raises `Unavailable` where that cannot be had.
    """
    return {"model_stats": [_statistics(runner, await runner.read_statistics()) for runner in runners]}


def index(models: Sequence[Model]) -> list[dict[str, str]]:
    """Every model and its state."""
    return [
        {"name": model.name, "version": model.version, "state": model.state, "reason": model.reason} for model in models
    ]


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if isinstance(dim, str) else dim for dim in spec.shape]
    return {"name": spec.name, "datatype": datatype(spec.dtype), "shape": shape}


def _config_tensor(spec: TensorSpec, by_rows: bool) -> dict[str, Any]:
    shape = [-1 if isinstance(dim, str) else dim for dim in spec.shape]
    return {
        "name": spec.name,
        "data_type": f"TYPE_{datatype(spec.dtype)}",
        "dims": shape[1:] if by_rows else shape,
    }


def _statistics(runner: Runner, found: GraphStatistics) -> dict[str, Any]:
    return {
        "name": runner.name,
        "version": runner.version,
        "last_inference": found.last_unix_ms,
        "inference_count": found.rows,
        "execution_count": found.runs,
        "inference_stats": {
            "success": _duration(found.success),
            "fail": _duration(found.fail),
            "queue": _duration(found.queue),
            **_parts(found.jobs),
        },
        "batch_stats": [{"batch_size": rows, **_parts(parts)} for rows, parts in sorted(found.batches.items())],
    }


def _parts(parts: RunStatistics) -> dict[str, Any]:
    return {
        "compute_input": _duration(parts.merge),
        "compute_infer": _duration(parts.compute),
        "compute_output": _duration(parts.split),
    }


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": round(duration.total_s * 1e9)}
