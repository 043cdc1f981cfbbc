"""Requests as a network controller would make them, for the sites of `tests.service.contract.examples`."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS
from tests.service.normalizers.pictures import encoded
from tests.service.normalizers.pictures import scene as picture

NOW_S = 1_790_000_000.0  # what the gateway under test takes for the present
Json = dict[str, Any]


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def tensor(numbers: NDArray[np.generic]) -> Json:
    return {"dtype": str(numbers.dtype), "shape": list(numbers.shape), "data": base64_of(numbers.tobytes())}


def channel(seed: int = 0) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(2, CSI_ANTENNAS, CSI_SUBCARRIERS))
    csi: NDArray[np.complex64] = (1e-5 * (parts[0] + 1j * parts[1])).astype(np.complex64)
    return csi


def detections(seed: int = 0, count: int = 20) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform([0, -60, -60, 0, -20, 0], [1, 60, 60, 30, 20, 30], (count, 6)).astype(np.float32)


def returns(seed: int = 0, count: int = 50) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform([-60, -60, 0, 0, 0], [60, 60, 30, 1, 15], (count, 5)).astype(np.float32)


def jpeg(width: int = 320, height: int = 160) -> bytes:
    return encoded(picture(width, height), "JPEG")


def city_frame(ue: str = "ue-1", seed: int = 0, **fields: Any) -> Json:
    return {"site": "city", "ue": ue, "timestamp_s": NOW_S, "csi": tensor(channel(seed)), **fields}


def street_frame(ue: str = "ue-1", seed: int = 0, **fields: Any) -> Json:
    """A frame for the site that is sensed by radio alone."""
    return {**city_frame(ue, seed), "site": "street", **fields}


def city_scene(name: str = "s0", seed: int = 0, **fields: Any) -> Json:
    return {
        "id": name,
        "site": "city",
        "camera": base64_of(jpeg()),
        "radar": tensor(detections(seed)),
        "lidar": tensor(returns(seed)),
        **fields,
    }


def room_scene(name: str = "room", seed: int = 0, **fields: Any) -> Json:
    return {"id": name, "site": "indoor", "radar": tensor(detections(seed)), **fields}


def room_frame(ue: str = "person", scene: str = "room", **fields: Any) -> Json:
    return {"site": "indoor", "ue": ue, "timestamp_s": NOW_S, "scene": scene, **fields}


def without(data: Json, *names: str) -> Json:
    return {name: value for name, value in data.items() if name not in names}
