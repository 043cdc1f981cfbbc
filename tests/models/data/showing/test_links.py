from __future__ import annotations

import numpy as np
import pytest

from models.data.raytraced.bands import BANDS
from models.data.showing.links import free_space_db, most_loss_db, noise_over_band_dbm, path_loss_db

ARRAYS = {
    "blocker": np.zeros((1, 3), np.uint8),
    "path_offset": np.array([0, 2, 2, 3]),
    "path_gain": np.array([[[1e-4, 0.0]], [[0.0, 1e-4]], [[1e-5, 0.0]]], np.float32),
    "path_delay_s": np.array([1e-7, 3e-7, 1e-7], np.float32),
}


def test_powers_of_the_paths_of_a_link_add_up_and_no_path_is_infinite_loss() -> None:
    np.testing.assert_allclose(path_loss_db(ARRAYS)[0, :, 0], [80 - 10 * np.log10(2), np.inf, 100], rtol=1e-6)


def test_paths_after_the_window_do_not_count() -> None:
    np.testing.assert_allclose(path_loss_db(ARRAYS, 2e-7)[0, :, 0], [80, np.inf, 100], rtol=1e-6)


def test_empty_scene_has_no_link_at_all() -> None:
    nothing = {
        **ARRAYS, "path_offset": np.zeros(4, np.int64), "path_gain": np.zeros((0, 3, 2), np.float32),
        "path_delay_s": np.zeros(0, np.float32),
    }  # fmt: skip
    assert np.isposinf(path_loss_db(nothing)).all()
    assert path_loss_db(nothing).shape == (1, 3, 3)


def test_noise_over_the_band_is_thermal_noise_and_the_noise_figure() -> None:
    assert noise_over_band_dbm(BANDS[0]) == pytest.approx(-174 + 80 + 5)  # 100 MHz
    assert most_loss_db(BANDS[0]) == pytest.approx(23 + 89)


def test_free_space_loss_of_a_kilometre_is_the_textbook_value() -> None:
    assert free_space_db(np.array(1000.0), BANDS[0]) == pytest.approx(32.45 + 20 * np.log10(2600), abs=0.01)
