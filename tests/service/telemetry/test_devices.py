from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from service.telemetry.devices import DeviceMemory, device_reader


def test_there_are_no_devices_on_the_cpu_and_no_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert list(device_reader("cpu")()) == []


def test_every_device_is_read_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake: the real library answers only where there is a device."""
    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: f"handle {index}",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=len(handle), total=80, free=0),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert device_reader("cuda")() == [DeviceMemory("0", 8, 80), DeviceMemory("1", 8, 80)]
