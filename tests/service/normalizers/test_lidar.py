import numpy as np
import pytest

from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.lidar import lidar_planes
from tests.service.contract.examples import CITY, EASTWARD, INDOOR

SPEC = next(spec for spec in ENCODE_INPUTS if spec.name == "lidar")


def planes_of(*returns: list[float], site=EASTWARD) -> np.ndarray:
    """Planes of returns (east, north, up, intensity, ring); east is forward and north left of the eastward site."""
    planes = lidar_planes([np.array(returns, np.float32).reshape(-1, 5)], [site])
    SPEC.check(planes)
    return planes[0]


def test_a_return_lies_at_its_sine_of_azimuth_left_positive_and_its_slant_range():
    left = planes_of([40.0, 40.0, 5.0, 0.5, 0])
    slant_m = np.sqrt(40**2 + 40**2 + (EASTWARD.mast_height_m - 5.0) ** 2)
    expected = [[int((np.sqrt(0.5) + 1) / 2 * 64), int(slant_m / 160 * 64)]]
    for plane in left:
        np.testing.assert_array_equal(np.argwhere(plane), expected)


def test_the_planes_turn_with_the_boresight():
    east, north = CITY.to_enu(np.array([50.0, -20.0]))
    np.testing.assert_array_equal(
        planes_of([east, north, 3.0, 0.5, 0], site=CITY), planes_of([50.0, -20.0, 3.0, 0.5, 0])
    )


def test_a_cell_holds_greatest_height_count_and_mean_intensity():
    height, count, intensity = planes_of([40, 0, 5.0, 0.2, 0], [40, 0, 4.9, 0.4, 1], [40, 0, 4.8, 0.9, 2])
    assert height.max() == pytest.approx(0.5)
    assert count.max() == pytest.approx(np.log1p(3) / 3)
    assert intensity.max() == pytest.approx(0.5)
    assert np.count_nonzero(count) == 1


@pytest.mark.parametrize(("up", "height"), [(-4.0, 0.0), (80.0, 3.0)])
def test_height_is_kept_between_the_ground_and_30_m(up, height):
    planes = planes_of([40, 0, up, 0.5, 0])
    assert planes[1].any()
    assert planes[0].max() == pytest.approx(height)


@pytest.mark.parametrize("place", [[-1.0, 5.0, 1.0], [170.0, 0.0, 1.0], [3e38, -3e38, 3e38]])
def test_a_return_behind_the_mast_or_too_far_away_does_not_count(place):
    assert not planes_of([*place, 1.0, 0]).any()


def test_intensity_is_kept_within_its_range():
    assert planes_of([40, 0, 1, 7.0, 0])[2].max() == 1.0
    assert planes_of([40, 0, 1, -7.0, 0])[2].min() == 0.0


def test_an_empty_capture_gives_zeros_and_leaves_its_mates_alone():
    capture = np.array([[3.0, 1.0, 1.0, 0.5, 0]], np.float32)
    planes = lidar_planes([capture[:0], capture, capture[:0]], [INDOOR, INDOOR, CITY])
    SPEC.check(planes)
    assert not planes[[0, 2]].any()
    np.testing.assert_array_equal(planes[1], planes_of([3.0, 1.0, 1.0, 0.5, 0], site=INDOOR))


def test_a_batch_of_none_gives_none():
    assert lidar_planes([], []).shape == (0, 3, 64, 64)
