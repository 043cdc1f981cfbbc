import numpy as np
import pytest

from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.csi import csi_planes
from tests.service.normalizers.waves import BANDWIDTH_HZ, noise, plane_wave

SPEC = next(spec for spec in ENCODE_INPUTS if spec.name == "csi")


def planes_of(*channels: np.ndarray) -> np.ndarray:
    planes = csi_planes(np.stack(channels).astype(np.complex64))
    SPEC.check(planes)
    assert SPEC.low <= planes.min()
    assert planes.max() <= SPEC.high
    return planes


def strongest(planes: np.ndarray) -> tuple[int, ...]:
    """(elevation beam, azimuth bin, delay bin) of the strongest bin of one frame."""
    return tuple(int(i) for i in np.unravel_index(planes[:4].argmax(), (4, 32, 64)))


@pytest.mark.parametrize("azimuth_deg", [-75, -48.6, -30, -14.5, 0, 7, 30, 48.6, 75])
def test_a_wave_from_the_left_peaks_at_the_bin_of_the_sine_of_its_azimuth(azimuth_deg):
    _, azimuth, _ = strongest(planes_of(plane_wave(azimuth_deg))[0])
    assert azimuth == round(16 + 16 * np.sin(np.radians(azimuth_deg)))


def test_left_is_above_the_middle_and_right_below():
    left, right = planes_of(plane_wave(40), plane_wave(-40))
    assert strongest(left)[1] > 16 > strongest(right)[1]


@pytest.mark.parametrize(("elevation_deg", "beam"), [(-30, 1), (0, 2), (30, 3)])
def test_a_wave_from_above_peaks_in_a_higher_beam(elevation_deg, beam):
    assert strongest(planes_of(plane_wave(0, elevation_deg))[0])[0] == beam


@pytest.mark.parametrize("delay_bins", [0, 1, 5.3, 20.75, 63])
def test_a_path_peaks_at_the_bin_of_its_delay_times_the_bandwidth(delay_bins):
    _, _, delay = strongest(planes_of(plane_wave(20, -10, delay_bins / BANDWIDTH_HZ))[0])
    assert delay == round(delay_bins)


def test_the_planes_are_those_of_a_plain_dft():
    rng = np.random.default_rng(3)
    channel = noise(rng, 1)[0] + plane_wave(25, -5, 9.4 / BANDWIDTH_HZ, 3e-4)
    rows = np.exp(-1j * np.pi * np.outer([-1, -0.5, 0, 0.5], np.arange(4)))
    cols = np.exp(1j * np.pi * np.outer((np.arange(32) - 16) / 16, np.arange(8)))
    delays = np.exp(2j * np.pi * np.outer(np.arange(64), np.arange(64)) / 64)
    beams = np.einsum("er,ac,ds,rcs->ead", rows, cols, delays, channel.reshape(4, 8, 64))
    power = np.abs(beams) ** 2
    loudness = np.clip(10 * np.log10(power / power.max()) / 40, -1, 0) + 1
    best = np.take_along_axis(beams, power.argmax(axis=0)[None], 0)[0]
    phase = np.angle(best / beams.ravel()[power.argmax()])
    expected = np.concatenate([loudness, [np.cos(phase) * loudness.max(0), np.sin(phase) * loudness.max(0)]])
    np.testing.assert_allclose(planes_of(channel)[0], expected, atol=1e-5)


def test_a_second_path_shows_its_strength_and_its_phase_relative_to_the_first():
    first = plane_wave(0, 0, 4 / BANDWIDTH_HZ)
    second = plane_wave(30, 0, 12 / BANDWIDTH_HZ, 1e-5)  # 20 dB weaker
    level, turned = planes_of(first + second, first + second * np.exp(1j * np.pi / 2))
    assert level[2, 24, 12] == pytest.approx(0.5, abs=1e-3)
    quarter_turn = np.arctan2(turned[5, 24, 12], turned[4, 24, 12]) - np.arctan2(level[5, 24, 12], level[4, 24, 12])
    assert quarter_turn % (2 * np.pi) == pytest.approx(np.pi / 2, abs=1e-3)


def test_a_common_phase_and_scale_change_nothing():
    channel = noise(np.random.default_rng(4), 1)[0]
    plain, turned = planes_of(channel, channel * 1e3 * np.exp(2.1j))
    np.testing.assert_allclose(turned, plain, atol=2e-5)


def test_phase_is_quiet_where_there_is_no_power():
    planes = planes_of(plane_wave(0, 0, 4 / BANDWIDTH_HZ))[0]
    assert np.abs(planes[4:, :, 30]).max() == 0.0


def test_where_all_elevations_are_equally_strong_the_first_gives_the_phase():
    channel = np.zeros((32, 64), complex)
    channel[:8] = noise(np.random.default_rng(6), 1)[0, :8]  # one row of antennas cannot tell elevations apart
    cols = np.exp(1j * np.pi * np.outer((np.arange(32) - 16) / 16, np.arange(8)))
    delays = np.exp(2j * np.pi * np.outer(np.arange(64), np.arange(64)) / 64)
    beams = cols @ channel[:8] @ delays
    planes = planes_of(channel)[0]
    level, turn = planes[0], beams / beams.ravel()[np.abs(beams).argmax()]
    np.testing.assert_allclose(planes[4] + 1j * planes[5], turn / np.abs(turn) * level, atol=1e-5)


def test_zeros_give_zeros():
    assert not planes_of(np.zeros((32, 64))).any()


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 1e38])
def test_no_scale_that_float32_holds_breaks_it(scale):
    channel = noise(np.random.default_rng(5), 1, 1.0)[0]
    planes = planes_of(np.clip(channel.real, -1, 1) * scale)
    assert np.isfinite(planes).all()
    assert planes.max() == pytest.approx(1.0)


def test_a_batch_of_none_gives_none():
    assert csi_planes(np.zeros((0, 32, 64), np.complex64)).shape == (0, 6, 32, 64)


@pytest.mark.parametrize("shape", [(32, 64), (1, 64, 32), (1, 32, 63), (1, 4, 8, 64)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected csi of shape \[B, 32, 64\], got"):
        csi_planes(np.zeros(shape, np.complex64))
