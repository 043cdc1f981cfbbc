from __future__ import annotations

import math

import numpy as np
import pytest

from models.data.raytraced.bands import BANDS, Band
from models.data.raytraced.frontend import TIMING_OFFSET_S, TX_POWER_DBM, Measured, measure, noise_dbm, round_trip_m
from models.data.raytraced.paths import DELAY_WINDOW_S, Paths
from tests.models.data.raytraced.lone_path import lone_path, outage

BAND = BANDS[1]
LIGHT_MPS = 299_792_458.0
SILENT = np.zeros((200, 32, 64), np.complex64)
CLEAR = np.ones((400, 32, 64), np.complex64)  # no loss: the noise is 110 dB down
each_band = pytest.mark.parametrize("band", BANDS, ids=[band.name for band in BANDS])


@each_band
def test_noise_is_kTB_and_the_noise_figure(band: Band) -> None:
    boltzmann, kelvin = 1.380649e-23, 290.0
    expected = 10 * np.log10(boltzmann * kelvin * (band.bandwidth_hz / 64) * 1e3) + band.noise_figure_db
    assert noise_dbm(band) == pytest.approx(expected, abs=0.05)


@each_band
def test_channel_without_gain_is_measured_as_white_noise_of_that_power(band: Band) -> None:
    csi = measure(SILENT, band, np.random.default_rng(0)).csi()
    dbm = 10 * np.log10((np.abs(csi.astype(np.complex128)) ** 2).mean())
    assert dbm == pytest.approx(noise_dbm(band), abs=0.05)
    assert csi.real.var() == pytest.approx(csi.imag.var(), rel=0.02)
    neighbours = (csi[:, :, 1:] * csi[:, :, :-1].conj()).mean() / (np.abs(csi) ** 2).mean()
    assert abs(neighbours) < 0.01


def test_power_is_spread_over_the_subcarriers() -> None:
    csi = measure(CLEAR[:1], BAND, np.random.default_rng(0)).csi()
    total_dbm = 10 * np.log10((np.abs(csi[0, 0].astype(np.complex128)) ** 2).sum())
    assert total_dbm == pytest.approx(TX_POWER_DBM, abs=0.05)


def test_timing_offset_is_a_linear_phase_that_all_antennas_share() -> None:
    csi = measure(CLEAR, BAND, np.random.default_rng(1)).csi()
    phase = np.unwrap(np.angle(csi), axis=-1)
    frequency_hz = np.arange(64) * BAND.bandwidth_hz / 64
    slope, _ = np.polyfit(frequency_hz, phase.reshape(-1, 64).T, 1)
    offset_s = -slope.reshape(400, 32) / (2 * np.pi)
    line = phase[..., :1] - 2 * np.pi * offset_s[..., None] * frequency_hz
    assert np.abs(phase - line).max() < 0.05  # what the quantiser leaves of a straight line
    assert np.ptp(offset_s, axis=1).max() < 0.2e-9
    assert offset_s.mean() == pytest.approx(0, abs=4 * TIMING_OFFSET_S / 20)
    assert offset_s[:, 0].std() == pytest.approx(TIMING_OFFSET_S, rel=0.15)


def test_phase_of_a_frame_is_random_but_that_of_its_antennas_is_not() -> None:
    csi = measure(CLEAR, BAND, np.random.default_rng(2)).csi()[:, :, 32].astype(np.complex128)
    turn = csi / np.abs(csi)
    assert np.abs(turn.mean(0)).max() < 0.15
    assert np.abs(np.angle(turn * turn[:, :1].conj())).max() < 0.05


def test_quantiser_errs_by_at_most_half_a_level() -> None:
    rng = np.random.default_rng(3)
    gain = 1e-3 * (rng.standard_normal((20, 32, 64)) + 1j * rng.standard_normal((20, 32, 64))).astype(np.complex64)
    measured = measure(gain, BAND, np.random.default_rng(4))
    # The same draws without a quantiser: undo what `measure` draws in its own order.
    again = np.random.default_rng(4)
    phase, delay = again.uniform(0, 2 * np.pi, 20), again.normal(0, TIMING_OFFSET_S, 20)
    frequency_hz = (np.arange(64) - 32) * BAND.bandwidth_hz / 64
    turn = np.exp(1j * (phase[:, None] - 2 * np.pi * frequency_hz * delay[:, None]))
    exact = gain * np.sqrt(10 ** (TX_POWER_DBM / 10) / 64) * turn[:, None]
    error = measured.csi() - exact
    noise = 6 * np.sqrt(10 ** (noise_dbm(BAND) / 10))
    bound = (0.5 * measured.scale + noise)[:, None, None] * 1.001
    assert (np.abs(error.real) <= bound).all()
    assert (np.abs(error.imag) <= bound).all()
    assert measured.levels.dtype == np.int8
    assert (np.abs(measured.levels.astype(int)).max((1, 2, 3)) == 127).all()  # full scale is used, and not exceeded


def test_measuring_is_reproducible_and_frames_are_independent_of_the_batch_shape() -> None:
    first, again = (measure(CLEAR[:6], BAND, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.levels, again.levels)
    np.testing.assert_array_equal(first.scale, again.scale)
    shaped = measure(CLEAR[:6].reshape(2, 3, 32, 64), BAND, np.random.default_rng(5))
    np.testing.assert_array_equal(shaped.levels.reshape(first.levels.shape), first.levels)
    other = measure(CLEAR[:6], BAND, np.random.default_rng(6))
    assert not np.array_equal(first.levels, other.levels)


def test_measured_levels_become_the_channel_of_the_wire() -> None:
    levels = np.array([[[[3, -4], [127, 0]]]], np.int8)
    csi = Measured(levels, np.array([0.5], np.float32)).csi()
    assert csi.dtype == np.complex64
    assert csi.tolist() == [[[1.5 - 2j, 63.5 + 0j]]]


def _gain_db(snr_db: float) -> float:
    """Gain of a path that has a signal to noise ratio after combining 32 antennas and 64 subcarriers."""
    return noise_dbm(BAND) + 10 * math.log10(64) - TX_POWER_DBM + snr_db - 10 * math.log10(32 * 64)


@pytest.mark.parametrize("snr_db", [50.0, 14.0])
def test_round_trip_errs_as_noise_calibration_and_steps_make_it(snr_db: float) -> None:
    paths = lone_path(_gain_db(snr_db))
    found = np.array([round_trip_m(paths, 1, BAND, np.random.default_rng(seed))[0] for seed in range(400)])
    # Cramer-Rao: c / (2 pi beta sqrt(2 SNR)); beta of a flat spectrum is its width over the root of 12.
    noise_m = LIGHT_MPS / (2 * np.pi * 100e6 / math.sqrt(12) * math.sqrt(2 * 10 ** (snr_db / 10)))
    deviation_m = math.hypot(noise_m, 0.3, 0.305 / math.sqrt(12))
    assert found.mean() == pytest.approx(3e-7 * LIGHT_MPS, abs=4 * deviation_m / 20)
    assert found.std() == pytest.approx(deviation_m, rel=0.12)
    step_m = LIGHT_MPS / 2 * 4 / (480e3 * 4096)
    np.testing.assert_allclose(found / step_m, np.rint(found / step_m), atol=1e-3)


def test_round_trip_knows_no_distance_of_what_it_cannot_hear() -> None:
    rng = np.random.default_rng(0)
    assert np.isfinite(round_trip_m(lone_path(_gain_db(13.5)), 1, BAND, rng)).all()
    assert np.isnan(round_trip_m(lone_path(_gain_db(12.5)), 1, BAND, rng)).all()
    assert np.isnan(round_trip_m(lone_path(-60, delay_s=1.01 * DELAY_WINDOW_S), 1, BAND, rng)).all()
    links = Paths.joined([lone_path(-60), outage(), lone_path(-60)])
    assert np.isnan(round_trip_m(links, 1, BAND, rng)).tolist() == [False, True, False]
