"""From echoes to the radar's cells: range, Doppler and azimuth after three windowed Fourier transforms.

A dwell is `SWEEPS` frequency sweeps, sampled at `RANGES` points by each of `ELEMENTS` receiving elements, half a
wavelength apart in a horizontal row. Range, radial speed and direction of an echo turn its phase along samples, sweeps
and elements in proportion; Hann windows and Fourier transforms along the three gather it in a cell. Their effect is
worked out in the domain of the cells: the echoes of what stands still by two-dimensional transforms, those of what
moves by the window's main lobe and first sidelobes (the next are 41 dB below), and noise by the three taps that a Hann
window has there. A second row of elements, `ROW_GAP` wavelengths above, tells elevation by the phase between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from models.data.raytraced.radar_echoes import ELEMENTS, RANGE_MAX_M, SWEEPS, Echoes

RANGES = 192
RANGE_M = RANGE_MAX_M / RANGES  # width of a cell: a sweep of 150 MHz
DOPPLERS, DOPPLER_MPS = SWEEPS, 0.625  # at 76.5 GHz, a sweep every 49 μs for 3.1 ms
AZIMUTHS = ELEMENTS  # over direction cosines from -1 (right) to 1 (left)
ROW_GAP = 0.8
UP_LOWEST = -0.9  # of the direction cosines upwards that the phase between the rows can mean

_FINE = 4  # parts of a cell to which echoes of what stands still are rounded
_TAPS = 6  # cells along each axis that an echo of what moves reaches


@dataclass(frozen=True)
class Cube:
    """Amplitudes in all cells, over noise of power 1.

    Attributes:
        lower: complex64 `[RANGES, DOPPLERS, AZIMUTHS]` of the lower row, with noise.
        upper: likewise of the upper row, without noise.
    """

    lower: NDArray[np.complex64]
    upper: NDArray[np.complex64]


def range_cell(range_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place on the range axis, in cells; cell i has its centre at i."""
    return range_m / RANGE_M - 0.5


def doppler_cell(speed_mps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place on the Doppler axis, in cells: standing still is in the centre of cell `DOPPLERS / 2`."""
    return speed_mps / DOPPLER_MPS + DOPPLERS / 2


def azimuth_cell(left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place of a direction cosine on the azimuth axis, in cells."""
    return (left + 1) * AZIMUTHS / 2 - 0.5


def cube_of(echoes: Echoes, rng: np.random.Generator) -> Cube:
    """One dwell. Every echo has a random phase and a Rayleigh-distributed amplitude of its own.

    Rayleigh fading fits measured clutter at 95 GHz (Ulaby et al. 1998); a body, being many echoes, follows Swerling's
    cases 1 and 2. Echoes that are faster than the Doppler axis fold over it, as in every pulsed radar.
    """
    count = len(echoes.snr)
    turn = np.exp(2j * np.pi * ROW_GAP * echoes.up)
    amplitude = np.sqrt(echoes.snr / 2) * (rng.standard_normal((2, count)) * [[1], [1j]]).sum(0)
    rows = np.stack([amplitude, amplitude * turn]).astype(np.complex64)  # [2, N]
    place = np.stack([range_cell(echoes.range_m), doppler_cell(echoes.speed_mps), azimuth_cell(echoes.left)])
    still = echoes.speed_mps == 0
    cube = _moving(place[:, ~still], rows[:, ~still])
    standing = _standing(place[:, still][[0, 2]], rows[:, still])
    for shift, weight in ((-1, 0.5), (0, 1.0), (1, 0.5)):
        cube[:, :, DOPPLERS // 2 + shift] += np.float32(weight) * standing
    cube[0] += _noise(rng)
    return Cube(cube[0], cube[1])


def _standing(place: NDArray[np.float64], rows: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Amplitudes `[2, RANGES, AZIMUTHS]` of echoes at `place` `[2, N]`, on range and azimuth axes, by their phases."""
    fine = np.rint(place * _FINE).astype(np.int64)
    fine %= np.array([[RANGES * _FINE], [AZIMUTHS * _FINE]])
    index = fine[0] * AZIMUTHS * _FINE + fine[1]
    size = RANGES * AZIMUTHS * _FINE**2
    grid = np.stack([np.bincount(index, row.real, size) + 1j * np.bincount(index, row.imag, size) for row in rows])
    phases = fft.ifft2(grid.astype(np.complex64).reshape(2, RANGES * _FINE, AZIMUTHS * _FINE), norm="forward")
    for axis, length in ((1, RANGES), (2, AZIMUTHS)):
        sample = np.arange(length) - length // 2
        window = (
            2 / length * np.cos(np.pi * sample / length) ** 2
        )  # Hann; an echo in a cell's centre keeps its amplitude
        shape = [-1 if a == axis else 1 for a in range(3)]
        phases = np.take(phases, sample, axis, mode="wrap") * window.reshape(shape).astype(np.float32)
        phases = fft.ifftshift(phases, axis)
    return np.asarray(fft.fft2(phases))


def _moving(place: NDArray[np.float64], rows: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Amplitudes `[2, RANGES, DOPPLERS, AZIMUTHS]` of echoes at `place` `[3, N]` on the three axes."""
    shape = (RANGES, DOPPLERS, AZIMUTHS)
    first = np.floor(place).astype(np.int64) - _TAPS // 2 + 1
    cells = first[..., None] + np.arange(_TAPS)  # [3, N, taps]
    weight = _hann_lobe(cells - place[..., None])
    weight[0] *= (cells[0] >= 0) & (cells[0] < RANGES)
    r, d, a = (np.mod(cells[i], shape[i]) for i in range(3))
    flat = (r[:, :, None, None] * DOPPLERS + d[:, None, :, None]) * AZIMUTHS + a[:, None, None, :]
    spread = (weight[0][:, :, None, None] * weight[1][:, None, :, None] * weight[2][:, None, None, :]).astype(
        np.float32
    )
    cube = np.zeros((2, RANGES * DOPPLERS * AZIMUTHS), np.complex64)
    for row, amplitude in zip(cube, rows, strict=True):
        np.add.at(row, flat.ravel(), (spread * amplitude[:, None, None, None]).ravel())
    return cube.reshape(2, *shape)


def _hann_lobe(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform of a Hann window at an offset in cells, 1 in the centre; real, for phases count from its middle."""
    pole = np.abs(np.abs(offset) - 1) < 1e-6
    safe = np.where(pole, 0.0, offset)
    return np.asarray(np.where(pole, 0.5, np.sinc(safe) / (1 - safe**2)))


def _noise(rng: np.random.Generator) -> NDArray[np.complex64]:
    """Thermal noise of power 1 in every cell, related between neighbours as Hann windows make it."""
    white = rng.standard_normal((RANGES + 2, DOPPLERS + 2, 2 * (AZIMUTHS + 2)), np.float32)
    noise = white.view(np.complex64) * np.float32(np.sqrt(0.5 / 6**3))
    for _ in range(2):  # twice the sum of two neighbours: taps 1, 2, 1
        noise = noise[1:] + noise[:-1]
        noise = noise[:, 1:] + noise[:, :-1]
        noise = noise[:, :, 1:] + noise[:, :, :-1]
    return np.asarray(noise)
