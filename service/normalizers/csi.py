"""CSI to the angle-delay image: a 2-D DFT over the antennas and one over the subcarriers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS

ROWS = 4
COLS = CSI_ANTENNAS // ROWS
AZIMUTH_BINS = 32
DYNAMIC_RANGE_DB = 40.0  # weaker bins than this below the frame's strongest are 0
BLOCK = 8  # frames at a time: their intermediate arrays stay in the cache

_BEAM_BINS = AZIMUTH_BINS * CSI_SUBCARRIERS
_NOUGHT, _ONE = np.float32(0), np.float32(1)
_LEVEL_PER_NEPER = np.float32(10.0 / math.log(10.0) / DYNAMIC_RANGE_DB)
_FLOOR = np.float32(10.0 ** (-DYNAMIC_RANGE_DB / 10.0))
_LARGEST_PHASE = np.float32(1 - 2.0**-21)  # short of 1, so that rounding never takes a cosine or a sine beyond it
_LEAST_POWER = np.float32(1e-30)  # less than that of any channel that is not 0, once it is scaled
_LEAST_SCALE = np.float32(2.0**-120)  # what is below float32's normal range becomes at least 2^-29 by it


@dataclass(frozen=True, eq=False)
class Scaled:
    """Channels that no power over- or underflows float32 of.

    Attributes:
        parts: float32 `[B, 32, 2, 64]` (frame, antenna, parity of the subcarrier, the others): real and imaginary part
            of subcarriers 0, 2, ... 62, then those of 1, 3, ... 63.
        scale: float32 `[B]`, what they were divided by.
    """

    parts: NDArray[np.float32]
    scale: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Beams:
    """The angle-delay response of some of the frames.

    Attributes:
        rows: which frames.
        amplitude: float32 `[n, 4, 2, 2048]` (frame, elevation, real or imaginary, azimuth and delay), up to a factor.
        power: float32 `[n, 4, 2048]`, its square.
    """

    rows: slice
    amplitude: NDArray[np.float32]
    power: NDArray[np.float32]


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
    planes = empty_planes(len(csi))
    for beams in beam_blocks(unit_scale(csi)):
        fill_planes(planes[beams.rows], beams)
    return planes


def empty_planes(frames: int) -> NDArray[np.float32]:
    """Room for the planes of so many frames."""
    return np.empty((frames, ROWS + 2, AZIMUTH_BINS, CSI_SUBCARRIERS), np.float32)


def unit_scale(csi: NDArray[np.complex64]) -> Scaled:
    """Each frame divided by its largest real or imaginary part, so that no power over- or underflows float32.

    Raises:
        ValueError: `csi` is not `[B, 32, 64]`.
    """
    if csi.ndim != 3 or csi.shape[1:] != (CSI_ANTENNAS, CSI_SUBCARRIERS):
        raise ValueError(f"expected csi of shape [B, {CSI_ANTENNAS}, {CSI_SUBCARRIERS}], got {list(csi.shape)}")
    frames, half = len(csi), CSI_SUBCARRIERS // 2
    parities = np.empty((frames, CSI_ANTENNAS, 2, half), np.complex64)
    parities[:] = csi.reshape(frames, CSI_ANTENNAS, half, 2).transpose(0, 1, 3, 2)
    flat = parities.view(np.float32).reshape(frames, 2 * CSI_ANTENNAS * CSI_SUBCARRIERS)
    scale = np.maximum(flat.max(axis=1), -flat.min(axis=1))
    np.maximum(scale, _LEAST_SCALE, out=scale)
    flat *= (_ONE / scale)[:, None]
    return Scaled(flat.reshape(frames, CSI_ANTENNAS, 2, CSI_SUBCARRIERS), scale)


def real_matrix(matrix: NDArray[np.complex128]) -> NDArray[np.float32]:
    """A complex matrix `[M, K]` as the real one `[2, M, 2, K]` of (real, imaginary) by (real, imaginary).

    At these sizes a product with a matrix is the fastest transform. It is taken frame by frame, so that no frame's
    numbers depend on its batch-mates, and each is small enough for BLAS to stay in the thread that asks for it.
    """
    real, imaginary = [matrix.real, -matrix.imag], [matrix.imag, matrix.real]
    return np.stack([np.stack(real, axis=1), np.stack(imaginary, axis=1)]).astype(np.float32)


def subcarrier_matrix(matrix: NDArray[np.complex128]) -> NDArray[np.float32]:
    """A complex matrix `[M, 64]` to the right of `Scaled.parts`: `[2, 2, 64, M]`.

    Returns:
        float32 (parity of the subcarrier, part of the result, the subcarriers' parts, M).
    """
    # Of the result's part, M, the subcarriers' part, the subcarrier and its parity, the last one first.
    right = real_matrix(matrix).reshape(2, len(matrix), 2, CSI_SUBCARRIERS // 2, 2).transpose(4, 0, 3, 2, 1)
    return np.ascontiguousarray(right).reshape(2, 2, CSI_SUBCARRIERS, len(matrix))


# A wave from azimuth phi and elevation theta has element phase pi (row sin(theta) - col sin(phi) cos(theta)): the rows
# are matched by a DFT with a negative exponent, the columns by one with a positive exponent. The phase falls with
# frequency by 2 pi tau, so the subcarriers need the positive exponent as well.
_DELAYS = np.concatenate(
    subcarrier_matrix(
        np.exp(2j * np.pi * np.outer(np.arange(CSI_SUBCARRIERS), np.arange(CSI_SUBCARRIERS)) / CSI_SUBCARRIERS)
    ),
    axis=1,
)  # [part, 128, delay]
_ELEVATIONS = (
    real_matrix(np.exp(-1j * np.pi * np.outer([-1.0, -0.5, 0.0, 0.5], np.arange(ROWS))))
    .transpose(1, 0, 2, 3)
    .reshape(2 * ROWS, 2 * ROWS)
)
_AZIMUTHS = real_matrix(
    np.exp(1j * np.pi * np.outer(np.arange(AZIMUTH_BINS) / (AZIMUTH_BINS // 2) - 1.0, np.arange(COLS)))
).reshape(2 * AZIMUTH_BINS, 2 * COLS)


def beam_blocks(scaled: Scaled) -> Iterator[Beams]:
    """The beams of all frames, a block of them at a time, each in the memory of the one before."""
    frames = len(scaled.parts)
    size = min(frames, BLOCK)
    amplitudes = np.empty((size, ROWS, 2, _BEAM_BINS), np.float32)
    powers, squares = np.empty((2, size, ROWS, _BEAM_BINS), np.float32)
    for start in range(0, frames, BLOCK):
        rows = slice(start, min(start + BLOCK, frames))
        count = rows.stop - start
        amplitude, power, square = amplitudes[:count], powers[:count], squares[:count]
        _respond(amplitude, scaled.parts[rows])
        np.square(amplitude[:, :, 0], out=power)
        np.square(amplitude[:, :, 1], out=square)
        power += square
        yield Beams(rows, amplitude, power)


def _respond(amplitude: NDArray[np.float32], parts: NDArray[np.float32]) -> None:
    """Write the beams' amplitudes of some frames."""
    frames = len(parts)
    antennas = parts.reshape(frames, 1, CSI_ANTENNAS, 2 * CSI_SUBCARRIERS)
    delays = np.matmul(antennas, _DELAYS)  # [n, part, antenna, delay]
    elevations = np.matmul(_ELEVATIONS, delays.reshape(frames, 2 * ROWS, COLS * CSI_SUBCARRIERS))
    np.matmul(
        _AZIMUTHS,
        elevations.reshape(frames, ROWS, 2 * COLS, CSI_SUBCARRIERS),
        out=amplitude.reshape(frames, ROWS, 2 * AZIMUTH_BINS, CSI_SUBCARRIERS),
    )


def fill_planes(planes: NDArray[np.float32], beams: Beams) -> None:
    """Write the planes `[n, 6, 32, 64]` of some frames. Uses up the beams."""
    amplitude, power = beams.amplitude, beams.power
    frames = len(power)
    flat, frame = power.reshape(frames, ROWS * _BEAM_BINS), np.arange(frames)
    strongest = flat.argmax(axis=1)
    peak_power = np.maximum(flat[frame, strongest], _LEAST_POWER)[:, None]
    elevation, place = np.divmod(strongest, _BEAM_BINS)
    peak = amplitude[frame, elevation, :, place]  # [n, 2]

    best_power = power.max(axis=1)
    is_best = power == best_power[:, None]
    if np.count_nonzero(is_best) > best_power.size:
        _keep_first(is_best)

    levels = planes[:, :ROWS].reshape(frames, ROWS, _BEAM_BINS)
    with np.errstate(divide="ignore"):  # the logarithm of nothing is below every floor
        np.log(power, out=levels)
    levels *= _LEVEL_PER_NEPER
    levels += (_ONE - np.log(peak_power) * _LEVEL_PER_NEPER)[:, :, None]
    levels.clip(_NOUGHT, _ONE, out=levels)

    # Times the conjugate of the peak, and summed over the elevations of which one is left at each place.
    power[:] = is_best
    amplitude *= power[:, :, None]
    turn = np.empty((frames, 2, ROWS, 2), np.float32)
    turn[:, 0] = (peak * (_LARGEST_PHASE / np.sqrt(peak_power)))[:, None]
    turn[:, 1, :, 0] = -turn[:, 0, :, 1]
    turn[:, 1, :, 1] = turn[:, 0, :, 0]
    phase = planes[:, ROWS:].reshape(frames, 2, _BEAM_BINS)
    np.matmul(turn.reshape(frames, 2, 2 * ROWS), amplitude.reshape(frames, 2 * ROWS, _BEAM_BINS), out=phase)
    np.maximum(best_power, _FLOOR * peak_power, out=best_power)
    np.sqrt(best_power, out=best_power)
    np.divide(levels.max(axis=1), best_power, out=best_power)
    phase *= best_power[:, None]


def _keep_first(chosen: NDArray[np.bool_]) -> None:
    """Leave of what is chosen along the second axis only the first."""
    free = ~chosen[:, 0]
    for row in range(1, chosen.shape[1]):
        chosen[:, row] &= free
        free &= ~chosen[:, row]
