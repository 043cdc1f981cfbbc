import numpy as np
import pytest

from service.normalizers.channel import channel_tensors
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, distance, gain
from tests.service.normalizers.waves import BANDWIDTH_HZ, noise

CHANNELS = noise(np.random.default_rng(8), 19).astype(np.complex64)
BANDWIDTHS_HZ = np.linspace(20e6, BANDWIDTH_HZ, len(CHANNELS))


def test_everything_at_once_is_what_each_normalizer_gives_to_the_last_bit():
    expected = {
        "csi": csi_planes(CHANNELS),
        "aoa": aoa_profile(CHANNELS),
        "gain": gain(CHANNELS),
        "distance": distance(CHANNELS, BANDWIDTHS_HZ),
    }
    found = channel_tensors(CHANNELS, BANDWIDTHS_HZ)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        assert found[name].tobytes() == values.tobytes()


def test_without_a_bandwidth_there_is_no_distance():
    assert set(channel_tensors(CHANNELS)) == {"csi", "aoa", "gain"}


@pytest.mark.parametrize("bandwidth_hz", [None, BANDWIDTH_HZ])
def test_a_batch_of_none_gives_none(bandwidth_hz):
    assert not any(len(values) for values in channel_tensors(CHANNELS[:0], bandwidth_hz).values())
