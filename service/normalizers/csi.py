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

_BLOCK = 16  # frames at a time: their intermediate arrays stay in the cache
_BEAM_BINS = AZIMUTH_BINS * CSI_SUBCARRIERS
_LEVEL_PER_NEPER = np.float32(10.0 / math.log(10.0) / DYNAMIC_RANGE_DB)
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


def unit_scale(csi: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Each frame divided by its largest real or imaginary part, so that no power over- or underflows float32.

    Returns:
        float32 `[B, 32, 128]`: real and imaginary part of each subcarrier in turn.

    Raises:
        ValueError: `csi` is not `[B, 32, 64]`.
    """
    if csi.ndim != 3 or csi.shape[1:] != (CSI_ANTENNAS, CSI_SUBCARRIERS):
        raise ValueError(f"expected csi of shape [B, {CSI_ANTENNAS}, {CSI_SUBCARRIERS}], got {list(csi.shape)}")
    parts = np.ascontiguousarray(csi, np.complex64).view(np.float32)
    flat = parts.reshape(len(csi), 2 * CSI_ANTENNAS * CSI_SUBCARRIERS)
    largest = np.maximum(flat.max(axis=1), -flat.min(axis=1))[:, None, None]
    return np.divide(parts, np.where(largest > 0, largest, np.float32(1)), dtype=np.float32)


def real_matrix(matrix: NDArray[np.complex128]) -> NDArray[np.float32]:
    """A complex matrix `[M, K]` as the real one `[2, M, 2, K]` of (real, imaginary) by (real, imaginary).

    At these sizes a product with a matrix is the fastest transform. It is taken frame by frame, so that no frame's
    numbers depend on its batch-mates, and each is small enough for BLAS to stay in the thread that asks for it.
    """
    real, imaginary = [matrix.real, -matrix.imag], [matrix.imag, matrix.real]
    return np.stack([np.stack(real, axis=1), np.stack(imaginary, axis=1)]).astype(np.float32)


def subcarrier_matrix(matrix: NDArray[np.complex128]) -> NDArray[np.float32]:
    """A complex matrix `[M, 64]` to the right of `unit_scale`: `[2, 128, M]`, one for each part of the result."""
    right = real_matrix(matrix).transpose(0, 3, 2, 1)  # [2, subcarrier, part, M]
    return np.ascontiguousarray(right.reshape(2, 2 * CSI_SUBCARRIERS, len(matrix)))


def _fill(planes: NDArray[np.float32], scaled: NDArray[np.float32]) -> None:
    """Write the planes `[B, 6, 32, 64]` of channels whose powers float32 holds."""
    frames = len(scaled)
    beams = _beams(scaled)
    power = np.einsum("bepad,bepad->bead", beams, beams)
    flat = power.reshape(frames, ROWS * _BEAM_BINS)
    strongest, frame = flat.argmax(axis=1), np.arange(frames)
    peak_power = flat[frame, strongest]
    peak_power = np.where(peak_power > 0, peak_power, np.float32(1))[:, None, None]
    elevation, place = np.divmod(strongest, _BEAM_BINS)
    peak = beams.reshape(frames, ROWS, 2, _BEAM_BINS)[frame, elevation, :, place]  # [B, 2]

    levels = planes[:, :ROWS]
    with np.errstate(divide="ignore"):  # the logarithm of nothing is below every floor
        np.log(power, out=levels)
    levels *= _LEVEL_PER_NEPER
    levels += np.float32(1) - np.log(peak_power[..., None]) * _LEVEL_PER_NEPER
    np.clip(levels, 0, 1, out=levels)

    best_power = power.max(axis=1)
    best = np.einsum("bepad,bead->bpad", beams, _first_equal(power, best_power))
    turn = np.stack([peak, np.stack([-peak[:, 1], peak[:, 0]], axis=1)], axis=1)  # times the conjugate of the peak
    phase = planes[:, ROWS:]
    np.matmul(turn, best.reshape(frames, 2, _BEAM_BINS), out=phase.reshape(frames, 2, _BEAM_BINS))
    loudness = np.maximum(best_power, _FLOOR * peak_power) * peak_power
    phase *= (levels.max(axis=1) / np.sqrt(loudness))[:, None]
    np.clip(phase, -1, 1, out=phase)


# A wave from azimuth phi and elevation theta has element phase pi (row sin(theta) - col sin(phi) cos(theta)): the rows
# are matched by a DFT with a negative exponent, the columns by one with a positive exponent. The phase falls with
# frequency by 2 pi tau, so the subcarriers need the positive exponent as well.
_DELAYS = subcarrier_matrix(
    np.exp(2j * np.pi * np.outer(np.arange(CSI_SUBCARRIERS), np.arange(CSI_SUBCARRIERS)) / CSI_SUBCARRIERS)
)
_ELEVATIONS = (
    real_matrix(np.exp(-1j * np.pi * np.outer([-1.0, -0.5, 0.0, 0.5], np.arange(ROWS))))
    .transpose(1, 0, 2, 3)
    .reshape(2 * ROWS, 2 * ROWS)
)
_AZIMUTHS = real_matrix(
    np.exp(1j * np.pi * np.outer(np.arange(AZIMUTH_BINS) / (AZIMUTH_BINS // 2) - 1.0, np.arange(COLS)))
).reshape(2 * AZIMUTH_BINS, 2 * COLS)


def _beams(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Amplitude `[B, elevation 4, part 2, azimuth 32, delay 64]`, up to a constant factor."""
    frames = len(scaled)
    delays = np.matmul(scaled[:, None], _DELAYS)  # [B, part, antenna, delay]
    elevations = np.matmul(_ELEVATIONS, delays.reshape(frames, 2 * ROWS, COLS * CSI_SUBCARRIERS))
    azimuths: NDArray[np.float32] = np.matmul(_AZIMUTHS, elevations.reshape(frames, ROWS, 2 * COLS, CSI_SUBCARRIERS))
    return azimuths.reshape(frames, ROWS, 2, AZIMUTH_BINS, CSI_SUBCARRIERS)


def _first_equal(values: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 at the first of `values` `[B, N, ...]` along its second axis that equals `wanted` `[B, ...]`, 0 elsewhere."""
    equal = values == wanted[:, None]
    free = ~equal[:, 0]
    for row in range(1, equal.shape[1]):
        equal[:, row] &= free
        free &= ~equal[:, row]
    first: NDArray[np.float32] = equal.astype(np.float32)
    return first
