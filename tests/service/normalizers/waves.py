"""Synthetic channels: sums of plane waves on the array of `service.contract.captures`."""

import numpy as np

BANDWIDTH_HZ = 100e6
SPEED_OF_LIGHT_MPS = 299_792_458.0


def plane_wave(
    azimuth_deg: float = 0.0, elevation_deg: float = 0.0, delay_s: float = 0.0, amplitude: complex = 1e-4
) -> np.ndarray:
    """Channel complex128 `[32, 64]` of one path; azimuth rises to the left, elevation upwards.

    Written from the geometry, not from the normalizer: the phase of an element is the wave number times its position
    along the direction to the source.
    """
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    to_source = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    row, col = np.divmod(np.arange(32), 8)
    half_waves = np.stack([np.zeros(32), -col, row], axis=1)  # element positions (forward, left, up)
    frequency_hz = (np.arange(64) - 31.5) * BANDWIDTH_HZ / 64
    over_antennas = np.exp(1j * np.pi * half_waves @ to_source)
    over_subcarriers = np.exp(-2j * np.pi * frequency_hz * delay_s)
    return amplitude * np.outer(over_antennas, over_subcarriers)


def noise(rng: np.random.Generator, count: int, amplitude: float = 1e-4) -> np.ndarray:
    """Channels complex128 `[count, 32, 64]` of white noise with this mean amplitude."""
    parts = rng.normal(scale=amplitude / np.sqrt(2), size=(2, count, 32, 64))
    return parts[0] + 1j * parts[1]


def delay_of(length_m: float) -> float:
    """Delay in seconds of a path of this length."""
    return length_m / SPEED_OF_LIGHT_MPS
