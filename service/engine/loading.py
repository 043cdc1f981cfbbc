"""How engines are loaded, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from service.engine.device import Device
from service.engine.onnx_engine import OnnxEngine
from service.engine.variants import find_variant
from service.settings import Settings


def loader(settings: Settings, cores: int) -> Callable[[Path], OnnxEngine]:
    """What opens an artifact as the settings say; all that it opens share one device.

    Args:
        settings: of the service.
        cores: to share out.
    """
    device = Device(
        provider=settings.provider,
        memory_bytes=settings.gpu_memory_bytes,
        cuda_graphs=settings.cuda_graphs,
        tf32=settings.tf32,
        tensorrt_fp16=settings.tensorrt_fp16,
        tensorrt_cache=settings.tensorrt_cache,
    )

    def load(folder: Path) -> OnnxEngine:
        return OnnxEngine.load(
            find_variant(folder, settings.precision, settings.precision_loss),
            device=device,
            intra_op_threads=settings.intra_op_threads,
            sessions=settings.sessions,
            cores=cores,
        )

    return load
