"""Raw observations as they arrive, before any normalizer: the layouts of the wire and of the data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CSI_ANTENNAS = 32  # 4 rows x 8 columns, index = row * 8 + column, row 0 lowest, column 0 leftmost seen from behind
CSI_SUBCARRIERS = 64  # ascending frequency, centred on the carrier
LIDAR_COLUMNS = 5  # east m, north m, up m, intensity 0..1, ring
RADAR_COLUMNS = 6  # time s since the start of the capture, east m, north m, up m, radial velocity m/s, intensity dB
LIDAR_MAX_POINTS = 65_536
RADAR_MAX_POINTS = 16_384
TEXT_MAX_CHARS = 256


@dataclass(frozen=True)
class SceneCapture:
    """What a site's own sensors saw at one instant; shared by every frame that refers to it.

    Attributes:
        camera: a JPEG or PNG file, RGB or grey.
        radar: float32 `[N, 6]` detections (see `RADAR_COLUMNS`); a positive velocity moves away.
        lidar: float32 `[N, 5]` returns (see `LIDAR_COLUMNS`).
    """

    camera: bytes | None = None
    radar: NDArray[np.float32] | None = None
    lidar: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SensingFrame:
    """One UE or person at one instant.

    Attributes:
        ue: identity of the UE within the site.
        timestamp_s: Unix time of the observation.
        csi: complex64 `[32, 64]` uplink channel (see `CSI_ANTENNAS`), in sqrt(mW) per subcarrier.
        scene: row of the scene capture that the frame refers to, None where it has none.
        carrier_hz: carrier of the CSI, None for that of the site.
        distance_m: half the length of a round trip to the UE (timing advance, RTT), where it was measured.
        text: instruction in English that selects and steers the tasks.
    """

    ue: str
    timestamp_s: float
    csi: NDArray[np.complex64] | None = None
    scene: int | None = None
    text: str | None = None
    carrier_hz: float | None = None
    distance_m: float | None = None
