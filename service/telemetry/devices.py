"""Memory of CUDA devices, from NVIDIA's management library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceMemory:
    """Of one device, by its number on this machine."""

    device: str
    used_bytes: int
    total_bytes: int


def device_reader(provider: str) -> Callable[[], Sequence[DeviceMemory]]:
    """What reads the memory of all devices: nothing where inference does not run on them.

    Raises:
        ModuleNotFoundError: devices are used, but the library's binding is not installed.
    """
    if provider != "cuda":
        return tuple
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]

    def read() -> list[DeviceMemory]:
        infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        return [DeviceMemory(str(index), int(info.used), int(info.total)) for index, info in enumerate(infos)]

    return read
