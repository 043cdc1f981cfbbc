from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from service.demo.activity_chart import draw_activity_chart
from service.demo.error_map import Heights, draw_error_maps
from service.demo.outcome import Outcome, Truth
from tests.service.demo.outcomes import active, outcome

OUTCOMES = [outcome(n, 0.5 * n, los=n % 2 == 0) for n in range(12)] + [active(12, "walk", "walk")]


def test_map_is_drawn_for_the_site_with_positions_only(tmp_path: Path) -> None:
    (path,) = draw_error_maps(tmp_path / "out", {"lab": 0.0, "munich": 90.0}, OUTCOMES, heights=None)
    assert path.name == "error-map.png"
    with Image.open(path) as image:
        assert image.width >= 1500
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 500  # there is something on it


def test_second_site_gets_a_map_of_its_own(tmp_path: Path) -> None:
    elsewhere = Outcome(99, "paris", "ue", Truth((1.0, 2.0)), position_enu_m=(1.0, 2.0))
    paths = draw_error_maps(tmp_path, {"munich": 0.0, "paris": 180.0}, [*OUTCOMES, elsewhere], heights=None)
    assert [path.name for path in paths] == ["error-map.png", "error-map-paris.png"]


def test_activities_get_a_picture_of_their_own_and_never_change_the_map(tmp_path: Path) -> None:
    (chart,) = draw_activity_chart(tmp_path, OUTCOMES)
    assert chart.name == "activities.png"
    (with_activity,) = draw_error_maps(tmp_path / "a", {"munich": 0.0}, OUTCOMES, None)
    (without,) = draw_error_maps(tmp_path / "b", {"munich": 0.0}, OUTCOMES[:-1], None)
    assert with_activity.read_bytes() == without.read_bytes()
    assert draw_activity_chart(tmp_path / "c", OUTCOMES[:-1]) == []


def test_nothing_is_drawn_without_positions(tmp_path: Path) -> None:
    assert draw_error_maps(tmp_path, {"lab": 0.0}, [active(0, "walk", "walk")], heights=None) == []


def test_buildings_are_drawn_from_the_artifacts_heights(tmp_path: Path) -> None:
    height = np.zeros((60, 80), np.float16)
    height[10:20, 30:50] = 12.0
    np.savez(tmp_path / "map.npz", height=height, extent=np.array([-100.0, 200.0, -50.0, 100.0]))
    heights = Heights.load(tmp_path / "map.npz")
    assert heights is not None
    assert heights.extent_m == (-100.0, 200.0, -50.0, 100.0)
    (plain,) = draw_error_maps(tmp_path / "plain", {"munich": 0.0}, OUTCOMES, None)
    (built,) = draw_error_maps(tmp_path / "built", {"munich": 0.0}, OUTCOMES, heights)
    assert plain.read_bytes() != built.read_bytes()


def test_artifact_without_heights_has_a_plain_map(tmp_path: Path) -> None:
    assert Heights.load(tmp_path / "map.npz") is None
