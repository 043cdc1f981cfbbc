"""Cues derived from the CSI: angle-of-arrival profile, distance of the first path, gain."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.captures import CSI_SUBCARRIERS
from service.normalizers.csi import COLS, ROWS, real_matrix, subcarrier_matrix, unit_scale

AOA_BINS = 64
OVERSAMPLING = 8  # delay samples per 1 / bandwidth
FIRST_PATH_DB = 15.0  # a first path may be this much weaker than the strongest
NOISE_MARGIN_DB = 3.0  # a path stands out from the median of the delay profile by this much
SPEED_OF_LIGHT_MPS = 299_792_458.0
DISTANCE_UNIT_M = 100.0
GAIN_FLOOR_DBM = -200.0

_DELAYS = CSI_SUBCARRIERS * OVERSAMPLING
_NEGATIVE = _DELAYS // 8  # the last eighth of the delay axis are negative delays (timing offset)
_AROUND = np.arange(-1, _DELAYS + 1) - _NEGATIVE  # of the delay axis, which wraps
_MIDDLE = slice(_DELAYS // 2 - 1, _DELAYS // 2 + 1)  # of the sorted delays: their mean is the median

# A beam's power is a quadratic form of the covariance over the columns: its weights [part and column 16 x 16, bin].
_STEERING = real_matrix(
    np.exp(1j * np.pi * np.outer(np.arange(AOA_BINS) / (AOA_BINS // 2) - 1.0, np.arange(COLS)))
).reshape(2, AOA_BINS, 2 * COLS)
_BEAM_POWER = np.einsum("oui,ouj->iju", _STEERING, _STEERING).reshape((2 * COLS) ** 2, AOA_BINS)

_SUBCARRIERS = np.arange(CSI_SUBCARRIERS)
_HANN = np.sin(np.pi * (_SUBCARRIERS + 0.5) / CSI_SUBCARRIERS) ** 2
# To two samples a delay bin, in halves: a larger product BLAS would share out among threads.
_WINDOWED_DELAYS = np.stack(
    [
        subcarrier_matrix(np.exp(2j * np.pi * np.outer(half, _SUBCARRIERS / (2 * CSI_SUBCARRIERS))) * _HANN)
        for half in np.arange(2 * CSI_SUBCARRIERS).reshape(2, CSI_SUBCARRIERS)
    ]
)  # [half, part, 128, 64]


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
    grid = unit_scale(csi).reshape(-1, ROWS, COLS, CSI_SUBCARRIERS, 2).transpose(0, 4, 2, 1, 3)
    columns = grid.reshape(-1, 2 * COLS, ROWS * CSI_SUBCARRIERS)  # [B, part and column, everything else]
    covariance = np.matmul(columns, columns.transpose(0, 2, 1)).reshape(-1, 1, (2 * COLS) ** 2)
    spectrum = np.matmul(covariance, _BEAM_POWER)[:, 0].clip(min=0.0)
    largest = spectrum.max(axis=1, keepdims=True)
    profile: NDArray[np.float32] = spectrum / np.where(largest > 0, largest, np.float32(1))
    return profile


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
    # Earliest delay first, with the neighbours of both ends: [B, 514], of which the profile are the inner 512.
    around = np.take(_delay_profile(unit_scale(csi)), _AROUND, axis=1)
    before, profile, after = around[:, :-2], around[:, 1:-1], around[:, 2:]
    strongest = profile.max(axis=1, keepdims=True)
    noise = np.sort(profile, axis=1)[:, _MIDDLE].mean(axis=1, keepdims=True)
    threshold = np.maximum(strongest * 10 ** (-FIRST_PATH_DB / 10), noise * 10 ** (NOISE_MARGIN_DB / 10))
    is_path = (profile >= before) & (profile > after) & (profile >= threshold)
    first = np.where(is_path.any(axis=1), is_path.argmax(axis=1), profile.argmax(axis=1))[:, None]

    left, centre, right = (np.take_along_axis(around, first + step, 1) for step in range(3))
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
    flat = parts.reshape(len(parts), 1, math.prod(parts.shape[1:]))
    squares = np.matmul(flat, flat.transpose(0, 2, 1))[:, 0]  # [B, 1]
    power = 2.0 * squares / flat.shape[2]  # real and imaginary parts are two values of one
    dbm = 10.0 * np.log10(np.maximum(power, 10.0 ** (GAIN_FLOOR_DBM / 10)))
    scaled: NDArray[np.float32] = ((dbm + 90.0) / 30.0).astype(np.float32)
    return scaled


def _delay_profile(scaled: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power delay profile `[B, 512]`, Hann-windowed over the subcarriers, summed over the antennas.

    The power of 64 subcarriers has 127 Fourier coefficients, so 128 samples of it fix all others: sum the antennas at
    two samples a bin, and only then interpolate to eight.
    """
    amplitude = np.matmul(scaled[:, None, None], _WINDOWED_DELAYS)  # [B, half, part, antenna, delay]
    coarse = np.einsum("bhpad,bhpad->bhd", amplitude, amplitude).reshape(len(scaled), 2 * CSI_SUBCARRIERS)
    fine = np.fft.irfft(np.fft.rfft(coarse.astype(np.float64), axis=1), n=_DELAYS, axis=1)
    return np.maximum(fine, 0.0)
