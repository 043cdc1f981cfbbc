import numpy as np
import pytest

from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.cues import aoa_profile, distance, gain
from tests.service.normalizers.waves import BANDWIDTH_HZ, delay_of, noise, plane_wave

SPECS = {spec.name: spec for spec in ENCODE_INPUTS}


def complex64(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels).astype(np.complex64)


def metres(*channels: np.ndarray, bandwidth_hz: float = BANDWIDTH_HZ) -> np.ndarray:
    lengths = distance(complex64(*channels), bandwidth_hz)
    SPECS["distance"].check(lengths)
    return 100.0 * lengths[:, 0]


@pytest.mark.parametrize("azimuth_deg", [-60, -30, -3, 0, 11, 30, 60])
def test_the_profile_peaks_at_the_bin_of_the_sine_of_the_azimuth(azimuth_deg):
    profile = aoa_profile(complex64(plane_wave(azimuth_deg, 0, 3e-7)))
    SPECS["aoa"].check(profile)
    assert profile.argmax() == round(32 + 32 * np.sin(np.radians(azimuth_deg)))
    assert profile.max() == 1.0


def test_the_profile_is_the_bartlett_spectrum():
    channel = noise(np.random.default_rng(0), 1)[0] + plane_wave(-20, 0, 1e-7, 5e-5)
    steering = np.exp(1j * np.pi * np.outer((np.arange(64) - 32) / 32, np.arange(8)))
    spectrum = (np.abs(np.einsum("ac,rcs->ars", steering, channel.reshape(4, 8, 64))) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(aoa_profile(complex64(channel))[0], spectrum / spectrum.max(), atol=1e-6)


def test_the_profile_adds_paths_of_different_delay_by_their_power():
    both = plane_wave(-30, 0, 1e-7) + plane_wave(30, 0, 3e-7, 0.5e-4)
    profile = aoa_profile(complex64(both))[0]
    assert profile[48] == pytest.approx(0.25 * profile[16], rel=0.1)


@pytest.mark.parametrize("length_m", [0.0, 0.4, 1.7, 3.0, 10.1, 37.77, 99.9, 150.3, 160.0])
def test_a_clean_path_is_measured_to_within_half_a_metre(length_m):
    assert metres(plane_wave(15, -8, delay_of(length_m)))[0] == pytest.approx(length_m, abs=0.5)


def test_any_fraction_of_a_delay_bin_is_measured_alike():
    lengths = np.linspace(20, 26, 61)
    channels = [plane_wave(-25, 5, delay_of(length)) for length in lengths]
    np.testing.assert_allclose(metres(*channels), lengths, atol=0.05)


def test_noise_10_db_below_each_sample_costs_less_than_half_a_metre():
    rng = np.random.default_rng(1)
    lengths = rng.uniform(5, 160, 50)
    channels = [plane_wave(rng.uniform(-60, 60), -5, delay_of(length)) for length in lengths]
    noisy = np.stack(channels) + noise(rng, 50, 1e-4 / np.sqrt(10))
    np.testing.assert_allclose(metres(*noisy), lengths, atol=0.5)


def test_a_first_path_that_is_weaker_than_a_later_one_is_the_first():
    late = plane_wave(30, 0, delay_of(90.0))
    assert metres(plane_wave(-10, 0, delay_of(40.0), 0.32e-4) + late)[0] == pytest.approx(40.0, abs=0.5)  # 10 dB
    assert metres(plane_wave(-10, 0, delay_of(40.0), 0.1e-4) + late)[0] == pytest.approx(90.0, abs=0.5)  # 20 dB


def test_a_slightly_negative_delay_is_no_distance_and_not_a_far_one():
    assert metres(plane_wave(0, 0, -delay_of(6.0)))[0] == 0.0


def test_each_frame_has_its_own_bandwidth():
    channel = complex64(plane_wave(0, 0, delay_of(30.0)))
    lengths = distance(np.repeat(channel, 2, 0), np.array([BANDWIDTH_HZ, 2 * BANDWIDTH_HZ]))
    np.testing.assert_allclose(100.0 * lengths[:, 0], [30.0, 15.0], atol=0.1)


def test_a_wrong_number_of_bandwidths_is_refused():
    with pytest.raises(ValueError, match="expected 1 or 2 bandwidths, got 3"):
        distance(np.zeros((2, 32, 64), np.complex64), np.ones(3))


def test_gain_is_the_mean_power_in_dbm():
    gains = gain(complex64(plane_wave(10, amplitude=1e-3), plane_wave(10, amplitude=1e-4)))
    SPECS["gain"].check(gains)
    np.testing.assert_allclose(gains[:, 0], [(-60 + 90) / 30, (-80 + 90) / 30], atol=1e-6)


def test_gain_stops_at_minus_200_dbm():
    gains = gain(complex64(np.zeros((32, 64)), plane_wave(amplitude=1e-12)))
    np.testing.assert_allclose(gains[:, 0], (-200 + 90) / 30, atol=1e-6)


def test_zeros_give_finite_cues():
    zeros = np.zeros((2, 32, 64), np.complex64)
    assert not aoa_profile(zeros).any()
    assert not distance(zeros, BANDWIDTH_HZ).any()


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 1e38])
def test_no_scale_that_float32_holds_breaks_a_cue(scale):
    channel = (np.clip(noise(np.random.default_rng(5), 1, 1.0).real, -1, 1) * scale).astype(np.complex64)
    for cue in (aoa_profile(channel), distance(channel, BANDWIDTH_HZ), gain(channel)):
        assert np.isfinite(cue).all()


def test_one_lit_subcarrier_gives_finite_cues():
    channel = np.zeros((1, 32, 64), np.complex64)
    channel[:, :, 7] = 1e-5
    assert np.isfinite(distance(channel, BANDWIDTH_HZ)).all()
    assert np.isfinite(aoa_profile(channel)).all()


@pytest.mark.parametrize("cue", [aoa_profile, lambda csi: distance(csi, BANDWIDTH_HZ), gain])
def test_a_batch_of_none_gives_none(cue):
    assert len(cue(np.zeros((0, 32, 64), np.complex64))) == 0
