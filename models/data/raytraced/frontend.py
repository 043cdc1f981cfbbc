"""The base station's receiver: what measuring a channel does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TX_POWER_DBM = 23.0  # UE power class 3, TS 38.101-1 table 6.2.1-1, spread evenly over the subcarriers
NOISE_FIGURE_DB = 7.0
THERMAL_DBM_PER_HZ = -174.0
TIMING_OFFSET_S = 10e-9  # standard deviation of the residual timing error, per frame
ADC_LEVELS = 127  # amplitudes of an 8-bit converter, full scale at the frame's largest part


@dataclass(frozen=True)
class Measured:
    """CSI as the receiver delivers it: `csi = levels * scale`.

    Attributes:
        levels: int8 `[..., 32, 64, 2]` in-phase and quadrature.
        scale: float32 `[...]` sqrt(mW) per level.
    """

    levels: NDArray[np.int8]
    scale: NDArray[np.float32]

    def csi(self) -> NDArray[np.complex64]:
        """complex64 `[..., 32, 64]` in sqrt(mW) per subcarrier, the layout of the wire."""
        parts = self.levels.astype(np.float32) * self.scale[..., None, None, None]
        return np.ascontiguousarray(parts).view(np.complex64)[..., 0]


def noise_dbm(bandwidth_hz: float, subcarriers: int) -> float:
    """Noise power per subcarrier in dBm."""
    return THERMAL_DBM_PER_HZ + 10 * np.log10(bandwidth_hz / subcarriers) + NOISE_FIGURE_DB


def measure(gain: NDArray[np.complex64], bandwidth_hz: float, rng: np.random.Generator) -> Measured:
    """Link budget, thermal noise, random phase, timing offset and an 8-bit quantiser.

    Args:
        gain: complex64 `[..., 32, 64]` clean amplitude gains of the channel.
    """
    subcarriers = gain.shape[-1]
    lead = gain.shape[:-2]
    power_mw = 10 ** (TX_POWER_DBM / 10) / subcarriers
    offset_hz = (np.arange(subcarriers) - subcarriers // 2) * bandwidth_hz / subcarriers
    phase = rng.uniform(0, 2 * np.pi, lead)
    delay_s = rng.normal(0, TIMING_OFFSET_S, lead)
    turn = np.exp(1j * (phase[..., None] - 2 * np.pi * offset_hz * delay_s[..., None])).astype(np.complex64)
    sigma = np.float32(np.sqrt(10 ** (noise_dbm(bandwidth_hz, subcarriers) / 10) / 2))
    noise = rng.standard_normal((*gain.shape, 2), np.float32) * sigma
    seen = np.ascontiguousarray(gain * np.float32(np.sqrt(power_mw)) * turn[..., None, :])
    parts = seen.view(np.float32).reshape(*gain.shape, 2) + noise
    scale = np.abs(parts).max((-3, -2, -1)) / ADC_LEVELS
    levels = np.rint(parts / scale[..., None, None, None]).astype(np.int8)
    return Measured(levels, scale.astype(np.float32))
