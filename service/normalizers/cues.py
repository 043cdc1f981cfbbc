"""Cues derived from the CSI: angle-of-arrival profile, distance of the first path, gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS
from service.normalizers.csi import (
    AZIMUTH_BINS,
    BLOCK,
    COLS,
    ROWS,
    Beams,
    Scaled,
    beam_blocks,
    subcarrier_matrix,
    unit_scale,
)

AOA_BINS = 64
OVERSAMPLING = 8  # delay samples per 1 / bandwidth
FIRST_PATH_DB = 15.0  # a first path may be this much weaker than the strongest
NOISE_MARGIN_DB = 3.0  # a path stands out from the median of the delay profile by this much
SPEED_OF_LIGHT_MPS = 299_792_458.0
DISTANCE_UNIT_M = 100.0
GAIN_FLOOR_DBM = -200.0

_DELAYS = CSI_SUBCARRIERS * OVERSAMPLING
_NEGATIVE = _DELAYS // 8  # the last eighth of the delay axis are negative delays (timing offset)
_NEIGHBOURS = np.arange(3)  # of a sample and itself, counted from the one before it
_BELOW_STRONGEST = np.float32(10 ** (-FIRST_PATH_DB / 10))
_ABOVE_NOISE = np.float32(10 ** (NOISE_MARGIN_DB / 10))


def _interpolation(wanted: NDArray[np.float64], samples: int, harmonics: int) -> NDArray[np.float32]:
    """`[samples, W]`: from equidistant samples of a power to its values elsewhere.

    Args:
        wanted: where, in periods.
        samples: in a period; more than twice the harmonics, so that they fix all values.
        harmonics: of the power.
    """
    turns = wanted - np.arange(samples)[:, None] / samples
    waves = np.cos(2 * np.pi * turns[..., None] * np.arange(1, harmonics + 1))
    matrix: NDArray[np.float32] = ((1.0 + 2.0 * waves.sum(axis=-1)) / samples).astype(np.float32)
    return matrix


# The power of 8 columns has 7 harmonics over the azimuths, so the beams' 32 fix all others. From the sum over the
# delays of each elevation and azimuth: [128, 64].
_AZIMUTHS = np.tile(_interpolation(np.arange(AOA_BINS) / AOA_BINS, AZIMUTH_BINS, COLS - 1), (ROWS, 1))
_SUM_OF_DELAYS = np.ones((CSI_SUBCARRIERS, 1), np.float32)

# The power of 64 subcarriers has 63 harmonics over the delays, so two samples a delay bin fix all others. The even and
# the odd subcarriers are transformed apart: half a period on, the odd ones only change their sign.
_SUBCARRIERS = np.arange(CSI_SUBCARRIERS)
_HANN = np.sin(np.pi * (_SUBCARRIERS + 0.5) / CSI_SUBCARRIERS) ** 2
_WINDOWED_DELAYS = subcarrier_matrix(
    np.exp(2j * np.pi * np.outer(np.arange(CSI_SUBCARRIERS), _SUBCARRIERS / (2 * CSI_SUBCARRIERS))) * _HANN
)
# From the sum of both powers, and from the even part times the odd one, to the first half of the profile, earliest
# delay first: [2, 64, 256]. Half a period on, the latter again only changes its sign.
_FIRST_HALF, _SECOND_HALF = np.split(
    _interpolation((np.arange(_DELAYS // 2) - _NEGATIVE) / _DELAYS, 2 * CSI_SUBCARRIERS, CSI_SUBCARRIERS - 1), 2
)
_PROFILE = np.stack([_FIRST_HALF + _SECOND_HALF, 2 * (_FIRST_HALF - _SECOND_HALF)])


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
    profiles = np.empty((len(csi), AOA_BINS), np.float32)
    for beams in beam_blocks(unit_scale(csi)):
        profiles[beams.rows] = aoa_of(beams)
    return profiles


def aoa_of(beams: Beams) -> NDArray[np.float32]:
    """`aoa_profile` of some frames: `[n, 64]`. The four elevations of the beams are a basis of the rows."""
    frames = len(beams.power)
    power = np.matmul(beams.power.reshape(frames, ROWS * AZIMUTH_BINS, CSI_SUBCARRIERS), _SUM_OF_DELAYS)
    spectrum: NDArray[np.float32] = np.matmul(power.reshape(frames, 1, ROWS * AZIMUTH_BINS), _AZIMUTHS)[:, 0]
    np.maximum(spectrum, np.float32(0), out=spectrum)
    largest = spectrum.max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    spectrum /= largest
    return spectrum


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
    return distance_of(unit_scale(csi), bandwidth_hz)


def distance_of(scaled: Scaled, bandwidth_hz: ArrayLike) -> NDArray[np.float32]:
    """`distance` of channels that are scaled."""
    frames = len(scaled.parts)
    bandwidths = np.reshape(np.asarray(bandwidth_hz, np.float64), (-1,))
    if len(bandwidths) not in (1, frames):
        raise ValueError(f"expected 1 or {frames} bandwidths, got {len(bandwidths)}")
    around = _delay_profile(scaled.parts)  # [B, 514], of which the profile are the inner 512
    before, profile, after = around[:, :-2], around[:, 1:-1], around[:, 2:]
    frame, strongest = np.arange(frames), profile.argmax(axis=1)
    ordered = np.sort(profile, axis=1)
    noise = ordered[:, _DELAYS // 2 - 1] + ordered[:, _DELAYS // 2]  # twice the median
    threshold = np.maximum(profile[frame, strongest] * _BELOW_STRONGEST, noise * (_ABOVE_NOISE / 2))
    is_path = profile >= threshold[:, None]
    is_path &= profile >= before
    is_path &= profile > after
    first = is_path.argmax(axis=1)
    first = np.where(is_path[frame, first], first, strongest)

    left, centre, right = around[frame, first + _NEIGHBOURS[:, None]].astype(np.float64)
    curvature = left - 2.0 * centre + right
    curvature[curvature >= 0] = np.inf  # no peak, and no offset
    offset = 0.5 * (left - right) / curvature
    delay = np.maximum(first + offset - _NEGATIVE, 0.0) / OVERSAMPLING  # in 1 / bandwidth
    metres = delay * SPEED_OF_LIGHT_MPS / bandwidths
    length: NDArray[np.float32] = (metres / DISTANCE_UNIT_M).astype(np.float32)[:, None]
    return length


def gain(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Mean power per antenna and subcarrier.

    Args:
        csi: complex64 `[B, 32, 64]` in sqrt(mW), finite.

    Returns:
        float32 `[B, 1]`, `(dBm + 90) / 30`, with the power floored at -200 dBm.
    """
    return gain_of(unit_scale(csi))


def gain_of(scaled: Scaled) -> NDArray[np.float32]:
    """`gain` of channels that are scaled."""
    flat = scaled.parts.reshape(len(scaled.parts), 1, 2 * CSI_ANTENNAS * CSI_SUBCARRIERS)
    squares = np.matmul(flat, flat.transpose(0, 2, 1))[:, 0]  # [B, 1]
    power = squares * (scaled.scale.astype(np.float64) ** 2)[:, None] / (CSI_ANTENNAS * CSI_SUBCARRIERS)
    dbm = 10.0 * np.log10(np.maximum(power, 10.0 ** (GAIN_FLOOR_DBM / 10)))
    gains: NDArray[np.float32] = ((dbm + 90.0) / 30.0).astype(np.float32)
    return gains


def _delay_profile(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power delay profile, Hann-windowed over the subcarriers, summed over the antennas.

    Returns:
        float32 `[B, 514]`: earliest delay first, and the neighbours of both ends, as the delays wrap.
    """
    frames = len(parts)
    sums = np.empty((frames, 2, 1, CSI_SUBCARRIERS), np.float32)
    for start in range(0, frames, BLOCK):
        rows = slice(start, start + BLOCK)
        halves = np.matmul(parts[rows].transpose(0, 2, 1, 3)[:, :, None], _WINDOWED_DELAYS)
        flat = halves.reshape(-1, 2, 2 * CSI_ANTENNAS, CSI_SUBCARRIERS)  # [n, parity, part and antenna, delay]
        np.einsum("npad,npad->nd", flat, flat, out=sums[rows, 0, 0])
        np.einsum("nad,nad->nd", flat[:, 0], flat[:, 1], out=sums[rows, 1, 0])
    same, turned = np.matmul(sums, _PROFILE)[:, :, 0].transpose(1, 0, 2)
    around: NDArray[np.float32] = np.empty((frames, _DELAYS + 2), np.float32)
    np.add(same, turned, out=around[:, 1 : _DELAYS // 2 + 1])
    np.subtract(same, turned, out=around[:, _DELAYS // 2 + 1 : -1])
    around[:, 0], around[:, -1] = around[:, -2], around[:, 1]
    return np.maximum(around, np.float32(0), out=around)
