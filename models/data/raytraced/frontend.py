"""The base station's receiver: what measuring a channel does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bands import Band
from models.data.raytraced.paths import DELAY_WINDOW_S, Paths
from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS

TX_POWER_DBM = 23.0  # UE power class 3, TS 38.101-1 table 6.2.1-1, spread evenly over the subcarriers
THERMAL_DBM_PER_HZ = -174.0
TIMING_OFFSET_S = 10e-9  # standard deviation of the residual timing error, per frame
ADC_LEVELS = 127  # amplitudes of an 8-bit converter, full scale at the frame's largest part
LIGHT_MPS = 299_792_458.0
_DETECT_DB = 13.0  # signal to noise, after combining antennas and subcarriers, of the weakest path that is detected
_FIRST_PATH_DB = 20.0  # how far below the strongest path the first one may lie
_CALIBRATION_M = 0.3  # standard deviation of what is left of the hardware's own delays
_RTT_STEP_M = LIGHT_MPS / 2 * 4 / (480e3 * 4096)  # reporting step 4 Tc of TS 38.133 (k = 2), one way: 0.31 m


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


def noise_dbm(band: Band) -> float:
    """Noise power per antenna and subcarrier in dBm."""
    return THERMAL_DBM_PER_HZ + 10 * float(np.log10(band.spacing_hz)) + band.noise_figure_db


def measure(gain: NDArray[np.complex64], band: Band, rng: np.random.Generator) -> Measured:
    """Link budget, thermal noise, random phase, timing offset and an 8-bit quantiser.

    Args:
        gain: complex64 `[..., 32, 64]` clean amplitude gains of the channel.
    """
    lead = gain.shape[:-2]
    offset_hz = (np.arange(CSI_SUBCARRIERS) - CSI_SUBCARRIERS // 2) * band.spacing_hz
    phase = rng.uniform(0, 2 * np.pi, lead)
    delay_s = rng.normal(0, TIMING_OFFSET_S, lead)
    turn = np.exp(1j * (phase[..., None] - 2 * np.pi * offset_hz * delay_s[..., None])).astype(np.complex64)
    sigma = np.float32(np.sqrt(10 ** (noise_dbm(band) / 10) / 2))
    noise = rng.standard_normal((*gain.shape, 2), np.float32) * sigma
    seen = np.ascontiguousarray(gain * np.float32(np.sqrt(_power_mw())) * turn[..., None, :])
    parts = seen.view(np.float32).reshape(*gain.shape, 2) + noise
    scale = np.abs(parts).max((-3, -2, -1)) / ADC_LEVELS
    levels = np.rint(parts / scale[..., None, None, None]).astype(np.int8)
    return Measured(levels, scale.astype(np.float32))


def round_trip_m(paths: Paths, band_index: int, band: Band, rng: np.random.Generator) -> NDArray[np.float32]:
    """Distance of every link by a round-trip time, float32 `[L]`, NaN where no path is detected.

    The first detected path is timed; whatever comes within one over the bandwidth after it pulls the estimate by its
    share of the power. The error has the Cramer-Rao deviation of a delay in white noise, c / (2 pi beta sqrt(2 SNR))
    with beta the rms bandwidth (Kay, Estimation Theory, ex. 3.13), and that of the calibration. Unlike the CSI it does
    not know the timing offset: a round trip cancels it. Reported in steps of 0.31 m.
    """
    power = np.abs(paths.gain[:, band_index]) ** 2
    snr = power * _power_mw() / 10 ** (noise_dbm(band) / 10) * CSI_ANTENNAS * CSI_SUBCARRIERS
    delay_s = paths.delay_s.astype(np.float64)
    beta_hz = band.bandwidth_hz / np.sqrt(12)
    error = rng.standard_normal((paths.links, 2))
    found = np.full(paths.links, np.nan, np.float32)
    for link, (low, high) in enumerate(zip(paths.offset[:-1], paths.offset[1:], strict=True)):
        mine, late = snr[low:high], delay_s[low:high]
        heard = (mine >= 10 ** (_DETECT_DB / 10)) & (late <= DELAY_WINDOW_S)
        if not heard.any():
            continue
        heard &= mine >= mine[heard].max() / 10 ** (_FIRST_PATH_DB / 10)
        first = late[heard].min()
        near = (late <= first + 1 / band.bandwidth_hz) & (late >= first)
        delay = np.average(late[near], weights=mine[near])
        sigma_m = LIGHT_MPS / (2 * np.pi * beta_hz * np.sqrt(2 * mine[near].sum()))
        metres = delay * LIGHT_MPS + error[link] @ [sigma_m, _CALIBRATION_M]
        found[link] = max(np.rint(metres / _RTT_STEP_M), 0) * _RTT_STEP_M
    return found


def _power_mw() -> float:
    """Transmit power per subcarrier."""
    return float(10 ** (TX_POWER_DBM / 10)) / CSI_SUBCARRIERS
