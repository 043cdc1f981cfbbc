"""CSI to the angle-delay image: a 2-D DFT over the antennas and one over the subcarriers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS

ROWS = 4
COLS = CSI_ANTENNAS // ROWS
AZIMUTH_BINS = 32
DYNAMIC_RANGE_DB = 40.0  # weaker bins than this below the frame's strongest are 0

_BLOCK = 8  # frames at a time: their intermediate arrays stay in the cache, which halves the time of a large batch
_DB_PER_NEPER = 10.0 / math.log(10.0)  # of power
_SHIFT = np.array([1, -1] * (COLS // 2), np.complex64)[:, None]  # moves azimuth 0 to the middle bin
_FLOOR = np.float32(10.0 ** (-DYNAMIC_RANGE_DB / 10.0))


def csi_planes(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The angle-delay image of each frame's channel.

    Azimuth bin `k` of 32 is centred on `sin(azimuth) cos(elevation) = (k - 16) / 16`, rising to the left of the
    boresight; delay bin `n` of 64 on `n / bandwidth_hz` seconds (delays wrap there). Elevation beams 0 to 3 look along
    `sin(elevation)` = -1, -0.5, 0 and 0.5.

    Args:
        csi: complex64 `[B, 32, 64]`, finite, in the layout of `contract.captures`; any scale.

    Returns:
        float32 `[B, 6, 32, 64]` (frame, plane, azimuth, delay). Planes 0 to 3: the log-magnitude of each elevation
        beam, 1 at the frame's strongest bin and 0 from 40 dB below it. Planes 4 and 5: cosine and sine of the phase
        relative to that strongest bin, taken from the beam that is strongest at that azimuth and delay, times that
        beam's log-magnitude, so that noise has no loud phase. A channel of zeros gives zeros.

    Raises:
        ValueError: the shape does not fit.
    """
    scaled = unit_scale(csi)
    planes = np.empty((len(csi), ROWS + 2, AZIMUTH_BINS, CSI_SUBCARRIERS), np.float32)
    for start in range(0, len(csi), _BLOCK):
        block = slice(start, start + _BLOCK)
        _fill(planes[block], scaled[block])
    return planes


def unit_scale(csi: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Each frame divided by its largest real or imaginary part, so that no power over- or underflows float32.

    Raises:
        ValueError: `csi` is not `[B, 32, 64]`.
    """
    if csi.ndim != 3 or csi.shape[1:] != (CSI_ANTENNAS, CSI_SUBCARRIERS):
        raise ValueError(f"expected csi of shape [B, {CSI_ANTENNAS}, {CSI_SUBCARRIERS}], got {list(csi.shape)}")
    parts = np.ascontiguousarray(csi, np.complex64).view(np.float32)  # [B, 32, 128]
    largest = np.abs(parts).max(axis=(1, 2), keepdims=True)
    scaled = np.divide(parts, np.where(largest > 0, largest, np.float32(1)), dtype=np.float32)
    return scaled.view(np.complex64)


def squared_magnitude(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    """`|values|**2`, without the square root of `abs`."""
    real: NDArray[np.float32] = values.real
    imag: NDArray[np.float32] = values.imag
    return real * real + imag * imag


def _fill(planes: NDArray[np.float32], csi: NDArray[np.complex64]) -> None:
    """Write the planes `[B, 6, 32, 64]` of channels whose powers float32 holds."""
    beams = _beams(csi)  # [B, 4, 32, 64]
    power = squared_magnitude(beams)
    flat = power.reshape(len(csi), ROWS * AZIMUTH_BINS * CSI_SUBCARRIERS)
    strongest = flat.argmax(axis=1)[:, None]
    peak_power = np.take_along_axis(flat, strongest, 1)[:, :, None]  # [B, 1, 1]
    peak = np.take_along_axis(beams.reshape(flat.shape), strongest, 1)[:, :, None]
    safe_peak_power = np.where(peak_power > 0, peak_power, np.float32(1))

    planes[:, :ROWS] = _log_magnitude(np.divide(power, safe_peak_power[..., None], dtype=np.float32))

    best, best_power = beams[:, 0].copy(), power[:, 0]
    for row in range(1, ROWS):
        np.copyto(best, beams[:, row], where=power[:, row] > best_power)
        best_power = np.maximum(power[:, row], best_power)
    weight = planes[:, :ROWS].max(axis=1) / np.sqrt(np.maximum(best_power, _FLOOR * safe_peak_power) * safe_peak_power)
    # In real arithmetic: NumPy's complex product rounds differently with the size of the batch.
    planes[:, ROWS] = (best.real * peak.real + best.imag * peak.imag) * weight
    planes[:, ROWS + 1] = (best.imag * peak.real - best.real * peak.imag) * weight
    np.clip(planes[:, ROWS:], -1, 1, out=planes[:, ROWS:])


def _beams(csi: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Complex amplitude `[B, elevation 4, azimuth 32, delay 64]`, up to a constant factor.

    A wave from azimuth phi and elevation theta has element phase pi (row sin(theta) - col sin(phi) cos(theta)): the
    rows are matched by a DFT with a negative exponent, the columns by one with a positive exponent. The phase falls
    with frequency by 2 pi tau, so the subcarriers need the positive exponent as well.
    """
    grid = csi.reshape(-1, ROWS, COLS, CSI_SUBCARRIERS)
    delays = np.fft.ifft(grid, axis=3).astype(np.complex64, copy=False)
    # The four-point DFT over the rows, written out: NumPy's own takes ten times as long at this size.
    even, odd = delays[:, 0] + delays[:, 2], delays[:, 1] + delays[:, 3]
    real, turned = delays[:, 0] - delays[:, 2], 1j * (delays[:, 1] - delays[:, 3])
    elevations = np.stack([even - odd, real + turned, even + odd, real - turned], axis=1)
    azimuths = np.fft.ifft(elevations * _SHIFT, n=AZIMUTH_BINS, axis=2)
    return azimuths.astype(np.complex64, copy=False)


def _log_magnitude(ratio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power relative to the strongest bin, on a dB scale from 0 (40 dB below) to 1."""
    scale = np.float32(_DB_PER_NEPER / DYNAMIC_RANGE_DB)
    shown: NDArray[np.float32] = np.clip(np.log(np.maximum(ratio, _FLOOR)) * scale + np.float32(1), 0, 1)
    return shown
