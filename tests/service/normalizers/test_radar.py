from dataclasses import replace

import numpy as np
import pytest

from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.radar import radar_planes
from tests.service.contract.examples import CITY, EASTWARD, INDOOR

SPEC = next(spec for spec in ENCODE_INPUTS if spec.name == "radar")
MAST_M = EASTWARD.mast_height_m


def detection(
    *,
    time_s: float = 0.5,
    east: float = 40.0,
    north: float = 0.0,
    up: float = 1.0,
    velocity: float = 0.0,
    db: float = 20.0,
) -> list[float]:
    """One detection; east is forward and north is left of the eastward site."""
    return [time_s, east, north, up, velocity, db]


def planes_of(*detections: list[float], site=EASTWARD) -> np.ndarray:
    planes = radar_planes([np.array(detections, np.float32).reshape(-1, 6)], [site])
    SPEC.check(planes)
    return planes[0]


def lit(plane: np.ndarray) -> list[tuple[int, int]]:
    return [(int(row), int(column)) for row, column in np.argwhere(plane)]


@pytest.mark.parametrize("azimuth_deg", [-70, -35, 0, 35, 70])
def test_a_detection_lies_at_its_sine_of_azimuth_left_positive_and_its_slant_range(azimuth_deg):
    azimuth = np.radians(azimuth_deg)
    planes = planes_of(detection(east=60 * np.cos(azimuth), north=60 * np.sin(azimuth), up=3.0))
    slant_m = np.hypot(60, MAST_M - 3.0)
    assert lit(planes[0]) == [(int((np.sin(azimuth) + 1) / 2 * 64), int(slant_m / 160 * 64))]


def test_the_planes_turn_with_the_boresight():
    in_enu = CITY.to_enu(np.array([50.0, 20.0, 1.0]))
    turned = planes_of(detection(east=in_enu[0], north=in_enu[1]), site=CITY)
    np.testing.assert_array_equal(turned, planes_of(detection(east=50.0, north=20.0)))


def test_each_plane_has_its_own_axes():
    planes = planes_of(detection(time_s=0.25, east=30.0, up=MAST_M - 11.0, velocity=10.0))
    range_bin = int(np.hypot(30, 11) / 160 * 64)
    assert lit(planes[1]) == [(48, range_bin)]
    assert lit(planes[2]) == [(48, 16)]
    assert lit(planes[3]) == [(32, 16)]  # 16 m up of 0 to 32 m


def test_a_receding_target_is_above_the_middle_of_the_doppler_axis():
    (row, _), *_ = lit(planes_of(detection(velocity=1.0))[2])
    assert row > 32
    (row, _), *_ = lit(planes_of(detection(velocity=-1.0))[2])
    assert row < 32


def test_too_fast_a_target_counts_in_the_edge_bin():
    planes = planes_of(detection(velocity=1e6), detection(velocity=-1e6))
    assert sorted(row for row, _ in lit(planes[2])) == [0, 63]


@pytest.mark.parametrize(
    ("outside", "planes_left"),
    [
        ({"east": -1.0}, []),
        ({"east": 200.0}, [2, 3]),
        ({"time_s": 1.5}, [0, 1]),
        ({"time_s": -0.1}, [0, 1]),
        ({"up": 33.0}, [0, 1, 2]),
        ({"up": -0.5}, [0, 1, 2]),
    ],
)
def test_a_detection_outside_an_axis_does_not_count_there(outside, planes_left):
    planes = planes_of(detection(**outside))
    assert [plane for plane in range(4) if planes[plane].any()] == planes_left


def test_the_ends_of_an_axis_belong_to_it():
    planes = planes_of(detection(time_s=0.0, up=0.0), detection(time_s=1.0, up=32.0))
    assert lit(planes[3]) == [(0, 0), (63, 63)]


@pytest.mark.parametrize(("db", "weight"), [(20.0, 1.0), (-30.0, 0.05), (0.0, 0.05), (50.0, 2.5), (1e9, 4.0)])
def test_a_detection_weighs_its_intensity_within_bounds(db, weight):
    assert planes_of(detection(db=db)).max() == pytest.approx(np.log1p(weight))


def test_detections_in_one_bin_add_up():
    assert planes_of(detection(), detection(db=40.0)).max() == pytest.approx(np.log1p(3.0))


def test_a_detection_right_below_the_mast_is_straight_ahead():
    assert lit(planes_of(detection(east=0.0, north=0.0, up=0.0))[0]) == [(32, int(MAST_M / 160 * 64))]


def test_an_empty_capture_gives_zeros_and_leaves_its_mates_alone():
    full = np.array([detection()], np.float32)
    planes = radar_planes([full[:0], full, full[:0]], [EASTWARD, EASTWARD, INDOOR])
    SPEC.check(planes)
    assert not planes[[0, 2]].any()
    np.testing.assert_array_equal(planes[1], planes_of(detection()))


def test_coordinates_as_large_as_float32_holds_are_merely_far_away():
    largest = float(np.finfo(np.float32).max)
    planes = planes_of([largest] * 6, [-largest] * 6, detection(east=largest, north=-largest))
    assert np.isfinite(planes).all()
    assert not planes[0].any()


def test_a_batch_of_none_gives_none():
    assert radar_planes([], []).shape == (0, 4, 64, 64)


def test_sites_that_share_a_name_but_not_their_numbers_stay_apart():
    moved = replace(EASTWARD, range_max_m=320.0)
    capture = np.array([detection()], np.float32)
    near, far = radar_planes([capture, capture], [EASTWARD, moved])
    np.testing.assert_array_equal(near, planes_of(detection()))
    np.testing.assert_array_equal(far, planes_of(detection(), site=moved))
