from __future__ import annotations

import numpy as np
import pytest

from models.data.raytraced.frontend import (
    NOISE_FIGURE_DB,
    TIMING_OFFSET_S,
    TX_POWER_DBM,
    Measured,
    measure,
    noise_dbm,
)

BANDWIDTH_HZ = 100e6
SILENT = np.zeros((200, 32, 64), np.complex64)
CLEAR = np.ones((400, 32, 64), np.complex64)  # no loss: the noise is 110 dB down


def test_noise_is_kTB_and_the_noise_figure() -> None:
    boltzmann, kelvin = 1.380649e-23, 290.0
    expected = 10 * np.log10(boltzmann * kelvin * (BANDWIDTH_HZ / 64) * 1e3) + NOISE_FIGURE_DB
    assert noise_dbm(BANDWIDTH_HZ, 64) == pytest.approx(expected, abs=0.05)


def test_channel_without_gain_is_measured_as_white_noise_of_that_power() -> None:
    csi = measure(SILENT, BANDWIDTH_HZ, np.random.default_rng(0)).csi()
    dbm = 10 * np.log10((np.abs(csi.astype(np.complex128)) ** 2).mean())
    assert dbm == pytest.approx(noise_dbm(BANDWIDTH_HZ, 64), abs=0.05)
    assert csi.real.var() == pytest.approx(csi.imag.var(), rel=0.02)
    neighbours = (csi[:, :, 1:] * csi[:, :, :-1].conj()).mean() / (np.abs(csi) ** 2).mean()
    assert abs(neighbours) < 0.01


def test_power_is_spread_over_the_subcarriers() -> None:
    csi = measure(CLEAR[:1], BANDWIDTH_HZ, np.random.default_rng(0)).csi()
    total_dbm = 10 * np.log10((np.abs(csi[0, 0].astype(np.complex128)) ** 2).sum())
    assert total_dbm == pytest.approx(TX_POWER_DBM, abs=0.05)


def test_timing_offset_is_a_linear_phase_that_all_antennas_share() -> None:
    csi = measure(CLEAR, BANDWIDTH_HZ, np.random.default_rng(1)).csi()
    phase = np.unwrap(np.angle(csi), axis=-1)
    frequency_hz = np.arange(64) * BANDWIDTH_HZ / 64
    slope, _ = np.polyfit(frequency_hz, phase.reshape(-1, 64).T, 1)
    offset_s = -slope.reshape(400, 32) / (2 * np.pi)
    line = phase[..., :1] - 2 * np.pi * offset_s[..., None] * frequency_hz
    assert np.abs(phase - line).max() < 0.05  # what the quantiser leaves of a straight line
    assert np.ptp(offset_s, axis=1).max() < 0.2e-9
    assert offset_s.mean() == pytest.approx(0, abs=4 * TIMING_OFFSET_S / 20)
    assert offset_s[:, 0].std() == pytest.approx(TIMING_OFFSET_S, rel=0.15)


def test_phase_of_a_frame_is_random_but_that_of_its_antennas_is_not() -> None:
    csi = measure(CLEAR, BANDWIDTH_HZ, np.random.default_rng(2)).csi()[:, :, 32].astype(np.complex128)
    turn = csi / np.abs(csi)
    assert np.abs(turn.mean(0)).max() < 0.15
    assert np.abs(np.angle(turn * turn[:, :1].conj())).max() < 0.05


def test_quantiser_errs_by_at_most_half_a_level() -> None:
    rng = np.random.default_rng(3)
    gain = 1e-3 * (rng.standard_normal((20, 32, 64)) + 1j * rng.standard_normal((20, 32, 64))).astype(np.complex64)
    measured = measure(gain, BANDWIDTH_HZ, np.random.default_rng(4))
    # The same draws without a quantiser: undo what `measure` draws in its own order.
    again = np.random.default_rng(4)
    phase, delay = again.uniform(0, 2 * np.pi, 20), again.normal(0, TIMING_OFFSET_S, 20)
    frequency_hz = (np.arange(64) - 32) * BANDWIDTH_HZ / 64
    turn = np.exp(1j * (phase[:, None] - 2 * np.pi * frequency_hz * delay[:, None]))
    exact = gain * np.sqrt(10 ** (TX_POWER_DBM / 10) / 64) * turn[:, None]
    error = measured.csi() - exact
    noise = 6 * np.sqrt(10 ** (noise_dbm(BANDWIDTH_HZ, 64) / 10))
    bound = (0.5 * measured.scale + noise)[:, None, None] * 1.001
    assert (np.abs(error.real) <= bound).all()
    assert (np.abs(error.imag) <= bound).all()
    assert measured.levels.dtype == np.int8
    assert (np.abs(measured.levels.astype(int)).max((1, 2, 3)) == 127).all()  # full scale is used, and not exceeded


def test_measuring_is_reproducible_and_frames_are_independent_of_the_batch_shape() -> None:
    first, again = (measure(CLEAR[:6], BANDWIDTH_HZ, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.levels, again.levels)
    np.testing.assert_array_equal(first.scale, again.scale)
    shaped = measure(CLEAR[:6].reshape(2, 3, 32, 64), BANDWIDTH_HZ, np.random.default_rng(5))
    np.testing.assert_array_equal(shaped.levels.reshape(first.levels.shape), first.levels)
    other = measure(CLEAR[:6], BANDWIDTH_HZ, np.random.default_rng(6))
    assert not np.array_equal(first.levels, other.levels)


def test_measured_levels_become_the_channel_of_the_wire() -> None:
    levels = np.array([[[[3, -4], [127, 0]]]], np.int8)
    csi = Measured(levels, np.array([0.5], np.float32)).csi()
    assert csi.dtype == np.complex64
    assert csi.tolist() == [[[1.5 - 2j, 63.5 + 0j]]]
