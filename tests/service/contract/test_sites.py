import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.contract.sites import Site
from tests.service.contract.examples import CITY, INDOOR, STREET


def facing(boresight_deg: float) -> Site:
    return replace(CITY, boresight_deg=boresight_deg)


@pytest.mark.parametrize(
    ("boresight_deg", "forward_enu"),
    [(0.0, (0, 1, 0)), (90.0, (1, 0, 0)), (180.0, (0, -1, 0)), (270.0, (-1, 0, 0))],
)
def test_forward_is_the_compass_direction_of_the_boresight(boresight_deg, forward_enu):
    np.testing.assert_allclose(facing(boresight_deg).to_enu(np.array([1.0, 0.0, 0.0])), forward_enu, atol=1e-12)


def test_left_of_a_northward_boresight_is_west_and_up_stays_up():
    np.testing.assert_allclose(facing(0.0).to_mast(np.array([-5.0, 0.0, 7.0])), [0.0, 5.0, 7.0], atol=1e-12)


@settings(deadline=None)
@given(st.floats(0, 360), st.integers(2, 3), st.integers(0, 2**32 - 1))
def test_there_and_back_again_is_where_we_were(boresight_deg, axes, seed):
    points = np.random.default_rng(seed).uniform(-500, 500, (4, 5, axes))
    site = facing(boresight_deg)
    np.testing.assert_allclose(site.to_enu(site.to_mast(points)), points, atol=1e-9)


def test_turning_leaves_the_argument_as_it_was():
    points = np.ones((2, 3))
    CITY.to_mast(points)
    np.testing.assert_array_equal(points, 1.0)


@settings(deadline=None)
@given(st.floats(0, 360), st.integers(0, 2**32 - 1))
def test_a_covariance_turns_with_its_positions(boresight_deg, seed):
    rng = np.random.default_rng(seed)
    mast = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 2))
    site = facing(boresight_deg)
    np.testing.assert_allclose(
        site.covariance_to_enu(np.cov(mast.T)[None])[0], np.cov(site.to_enu(mast).T), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("site", [CITY, INDOOR, STREET])
def test_json_round_trip(site):
    assert Site.from_json(json.loads(json.dumps(site.to_json()))) == site


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match=r"unknown fields \['colour'\], expected \["):
        Site.from_json({**CITY.to_json(), "colour": "red"})


def test_a_missing_field_is_named():
    data = CITY.to_json()
    del data["range_max_m"]
    with pytest.raises(ValueError, match="range_max_m"):
        Site.from_json(data)


def test_carriers_are_those_that_are_named_or_else_the_one_of_the_site():
    assert STREET.carriers == (3.55e9, 28e9)
    assert CITY.carriers == (28e9,)
    assert INDOOR.carriers == ()


def test_a_site_without_a_list_of_carriers_is_written_as_before_there_was_one():
    assert "carriers_hz" not in CITY.to_json()  # digests of data sets are made of it
    assert STREET.to_json() == {**CITY.to_json(), "name": "street", "carriers_hz": [3.55e9, 28e9]}
