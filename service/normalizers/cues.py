"""Cues derived from the CSI: angle-of-arrival profile, distance of the first path, gain."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.captures import CSI_SUBCARRIERS
from service.normalizers.csi import COLS, ROWS, squared_magnitude, unit_scale

AOA_BINS = 64
OVERSAMPLING = 8  # delay samples per 1 / bandwidth
FIRST_PATH_DB = 15.0  # a first path may be this much weaker than the strongest
NOISE_MARGIN_DB = 3.0  # a path stands out from the median of the delay profile by this much
SPEED_OF_LIGHT_MPS = 299_792_458.0
DISTANCE_UNIT_M = 100.0
GAIN_FLOOR_DBM = -200.0

_DELAYS = CSI_SUBCARRIERS * OVERSAMPLING
_NEGATIVE = _DELAYS // 8  # the last eighth of the delay axis are negative delays (timing offset)
_HANN = (np.sin(np.pi * (np.arange(CSI_SUBCARRIERS) + 0.5) / CSI_SUBCARRIERS) ** 2).astype(np.float32)


def aoa_profile(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Bartlett azimuth spectrum, summed non-coherently over antenna rows and subcarriers.

    Args:
        csi: complex64 `[B, 32, 64]`, finite.

    Returns:
        float32 `[B, 64]` in [0, 1], 1 at the strongest direction. Bin `k` is centred on
        `sin(azimuth) cos(elevation) = (k - 32) / 32`, rising to the left. A channel of zeros gives zeros.

    Raises:
        ValueError: the shape does not fit.
    """
    grid = unit_scale(csi).reshape(-1, ROWS, COLS, CSI_SUBCARRIERS)
    real, imag = np.ascontiguousarray(grid.real), np.ascontiguousarray(grid.imag)
    # The spectrum is the DFT of the array's autocorrelation over column lags: far cheaper than one DFT a subcarrier.
    lags = np.zeros((len(grid), AOA_BINS), np.complex128)
    for lag in range(COLS):
        a, b = np.s_[:, :, : COLS - lag], np.s_[:, :, lag:]
        # In real arithmetic, and float64 before the sum: NumPy's complex product and its sum in another type round
        # differently with the size of the batch.
        lags.real[:, lag] = _total(real[a] * real[b] + imag[a] * imag[b])
        lags.imag[:, lag] = _total(imag[a] * real[b] - real[a] * imag[b])
    lags[:, 0] *= 0.5  # counted in both halves of the sum below
    spectrum = np.fft.fftshift(2.0 * np.fft.fft(lags, axis=1).real, axes=1).clip(min=0.0)
    largest = spectrum.max(axis=1, keepdims=True)
    return (spectrum / np.where(largest > 0, largest, 1.0)).astype(np.float32)


def distance(csi: NDArray[np.complex64], bandwidth_hz: ArrayLike) -> NDArray[np.float32]:
    """Length of the first path, from the power delay profile summed over the antennas.

    The first path is the first local maximum within 15 dB of the strongest that stands out from the profile's median.
    Delays wrap after `64 / bandwidth_hz` seconds; the last eighth of them are taken as negative and give 0.

    Args:
        csi: complex64 `[B, 32, 64]`, finite.
        bandwidth_hz: one value, or `[B]`; more than 0.

    Returns:
        float32 `[B, 1]` in units of 100 m, at least 0.

    Raises:
        ValueError: a shape does not fit.
    """
    bandwidths = np.reshape(np.asarray(bandwidth_hz, np.float64), (-1, 1))
    if len(bandwidths) not in (1, len(csi)):
        raise ValueError(f"expected 1 or {len(csi)} bandwidths, got {len(bandwidths)}")
    profile = np.roll(_delay_profile(unit_scale(csi)), _NEGATIVE, axis=1)  # [B, 512], earliest delay first
    before, after = np.roll(profile, 1, axis=1), np.roll(profile, -1, axis=1)
    strongest = profile.max(axis=1, keepdims=True)
    noise = np.median(profile, axis=1, keepdims=True)
    threshold = np.maximum(strongest * 10 ** (-FIRST_PATH_DB / 10), noise * 10 ** (NOISE_MARGIN_DB / 10))
    is_path = (profile >= before) & (profile > after) & (profile >= threshold)
    first = np.where(is_path.any(axis=1), is_path.argmax(axis=1), profile.argmax(axis=1))[:, None]

    left, centre, right = (np.take_along_axis(p, first, 1) for p in (before, profile, after))
    curvature = left - 2.0 * centre + right
    offset = np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1.0), 0.0)
    delay = np.maximum(first + offset - _NEGATIVE, 0.0) / OVERSAMPLING  # in 1 / bandwidth
    metres = delay * SPEED_OF_LIGHT_MPS / bandwidths
    length: NDArray[np.float32] = (metres / DISTANCE_UNIT_M).astype(np.float32)
    return length


def gain(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Mean power per antenna and subcarrier.

    Args:
        csi: complex64 `[B, 32, 64]` in sqrt(mW), finite.

    Returns:
        float32 `[B, 1]`, `(dBm + 90) / 30`, with the power floored at -200 dBm.
    """
    parts = np.ascontiguousarray(csi, np.complex64).view(np.float32).astype(np.float64)  # [B, 32, 128]
    power = 2.0 * (parts * parts).mean(axis=(1, 2))[:, None]  # real and imaginary parts are two values of one
    dbm = 10.0 * np.log10(np.maximum(power, 10.0 ** (GAIN_FLOOR_DBM / 10)))
    scaled: NDArray[np.float32] = ((dbm + 90.0) / 30.0).astype(np.float32)
    return scaled


def _total(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of each frame, `[B]`."""
    total: NDArray[np.float64] = values.astype(np.float64).reshape(len(values), math.prod(values.shape[1:])).sum(axis=1)
    return total


def _delay_profile(csi: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Power delay profile `[B, 512]`, Hann-windowed over the subcarriers, summed over the antennas.

    The power of 64 subcarriers has 127 Fourier coefficients, so 128 samples of it fix all others: sum the antennas at
    two samples a bin, and only then interpolate to eight.
    """
    delays = np.fft.ifft(csi * _HANN, n=2 * CSI_SUBCARRIERS, axis=2).astype(np.complex64, copy=False)
    coarse = squared_magnitude(delays).astype(np.float64).sum(axis=1)
    fine = np.fft.irfft(np.fft.rfft(coarse, axis=1), n=_DELAYS, axis=1)
    return np.maximum(fine, 0.0)
