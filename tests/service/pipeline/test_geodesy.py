from __future__ import annotations

import numpy as np
import pymap3d
import pytest

from service.pipeline.geodesy import to_wgs84

ORIGINS = [
    (48.137, 11.575, 519.0), (-33.9, 151.2, 5.0), (0.0, 0.0, 0.0), (89.9999, 12.0, 0.0), (-90.0, 0.0, 2800.0),
    (52.0, 179.9999, 0.0), (52.0, -180.0, 0.0), (31.5, 35.5, -430.0), (27.99, 86.93, 8848.0),
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS, ids=str)
def test_points_are_where_pymap3d_puts_them(origin: tuple[float, float, float]) -> None:
    """To the tenth of a millimetre, 30 km around."""
    enu_m = np.random.default_rng(0).uniform(-30_000, 30_000, (500, 2))
    degrees = to_wgs84(enu_m, origin)
    latitude, longitude, height_m = pymap3d.enu2geodetic(*enu_m.T, np.zeros(500), *origin)
    assert (np.abs(degrees[:, 1]) <= 180).all()
    east_m, north_m, up_m = pymap3d.geodetic2enu(*degrees.T, height_m, latitude, longitude, height_m)
    assert np.abs([east_m, north_m, up_m]).max() < 1e-4


def test_the_origin_is_itself() -> None:
    for latitude_deg, longitude_deg, height_m in ORIGINS[:3]:
        (found,) = to_wgs84(np.zeros((1, 2)), (latitude_deg, longitude_deg, height_m))
        assert found == pytest.approx((latitude_deg, longitude_deg), abs=1e-12)


def test_no_points_are_none() -> None:
    assert to_wgs84(np.zeros((0, 2)), ORIGINS[0]).shape == (0, 2)
