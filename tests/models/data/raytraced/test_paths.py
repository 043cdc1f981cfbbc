from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.paths import DELAY_WINDOW_S, Paths, synthesise
from tests.models.data.raytraced.lone_path import lone_path, outage

SITE = LAYOUTS["munich"].site


def test_one_path_is_a_plane_wave_over_the_array_and_a_ramp_over_the_subcarriers() -> None:
    left, up, delay_s = 0.3, -0.4, 123.4e-9
    elevation = math.asin(up)
    azimuth = SITE.boresight_rad + math.asin(left / math.cos(elevation))
    csi = synthesise(lone_path(-80.0, delay_s, (azimuth, elevation)), 0, 100e6, SITE)[0].reshape(4, 8, 64)
    assert csi.dtype == np.complex64
    np.testing.assert_allclose(np.abs(csi), 1e-4, rtol=1e-5)
    # Half a wavelength between neighbours: nearer to the terminal is earlier in phase.
    np.testing.assert_allclose(csi[:, 1:] / csi[:, :-1], np.exp(-1j * math.pi * left), atol=1e-4)
    np.testing.assert_allclose(csi[1:] / csi[:-1], np.exp(1j * math.pi * up), atol=1e-4)
    np.testing.assert_allclose(csi[..., 1:] / csi[..., :-1], np.exp(-2j * math.pi * 100e6 / 64 * delay_s), atol=1e-4)
    # The array's centre and the carrier, subcarrier 32, have the phase of the path itself.
    assert np.angle(csi[1:3, 3:5, 32].prod()) == pytest.approx(0, abs=1e-4)


def test_paths_of_a_link_add_up_with_their_phases() -> None:
    one, other = lone_path(-80.0, 1e-7, (0.1, -0.2)), lone_path(-86.0, 2.5e-7, (0.6, 0.1))
    both = replace(Paths.joined([one, other]), offset=np.array([0, 2]))
    expected = synthesise(one, 0, 100e6, SITE) + synthesise(other, 0, 100e6, SITE)
    np.testing.assert_allclose(synthesise(both, 0, 100e6, SITE), expected, atol=1e-9)


def test_late_echoes_do_not_come_back_as_early_ones() -> None:
    assert not synthesise(lone_path(-80, delay_s=1.01 * DELAY_WINDOW_S), 0, 100e6, SITE).any()
    assert synthesise(lone_path(-80, delay_s=0.99 * DELAY_WINDOW_S), 0, 100e6, SITE).all()
    assert synthesise(lone_path(-80, delay_s=1.01 * DELAY_WINDOW_S), 0, 100e6, SITE, window_s=1.0).all()


def test_outages_stay_links_without_signal() -> None:
    links = Paths.joined([lone_path(-80), outage(), lone_path(-100)])
    assert links.offset.tolist() == [0, 1, 1, 2]
    csi = synthesise(links, 0, 100e6, SITE)
    assert np.abs(csi).max((1, 2)).astype(bool).tolist() == [True, False, True]


def test_columns_of_a_shard_give_the_paths_back() -> None:
    paths = Paths.joined([lone_path(-80, 1e-7, (0.1, 0.2)), lone_path(-90, 2e-7, (1.0, -0.3))])
    columns = paths.columns()
    assert columns["path_gain"].shape == (2, 3, 2)
    back = Paths.of(columns)
    assert vars(back).keys() == vars(paths).keys()
    for name, values in vars(paths).items():
        np.testing.assert_array_equal(getattr(back, name), values)


def test_site_without_an_array_has_no_csi() -> None:
    with pytest.raises(ValueError, match=r"munich.*array"):
        synthesise(lone_path(-80), 0, 100e6, replace(SITE, array_rows=None))
