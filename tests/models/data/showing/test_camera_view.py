from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from models.data.showing.camera_view import draw_camera, spread
from models.data.showing.instant import read_instant
from models.data.showing.look import new_figure, place
from tests.models.data.fake_set import Size, fake_set


def test_labels_far_apart_stay_where_they_are() -> None:
    np.testing.assert_allclose(spread(np.array([10.0, 50.0, 90.0]), 11.0, 5.0, 315.0), [10, 50, 90])


def test_labels_that_collide_move_apart_around_their_middle() -> None:
    np.testing.assert_allclose(spread(np.array([100.0, 100.0, 100.0]), 10.0, 5.0, 315.0), [90, 100, 110])


@pytest.mark.parametrize("wanted", [0.0, 320.0])
def test_labels_stay_in_the_frame(wanted: float) -> None:
    placed = spread(np.full(5, wanted), 10.0, 5.0, 315.0)
    assert placed.min() >= 5
    assert placed.max() <= 315
    assert (np.diff(placed) >= 10 - 1e-9).all()


def test_no_label_is_no_trouble() -> None:
    assert spread(np.zeros(0), 10.0, 5.0, 315.0).size == 0


def test_every_ue_that_is_seen_gets_its_box(tmp_path: Path) -> None:
    instant = read_instant(fake_set(tmp_path, plan={"train": 1}, size=Size(ues=8)), "toy", 0, 1)
    seen = [ue for ue in instant.ues if ue.box_px]
    assert 0 < len(seen) < 8
    axes = place(new_figure(4.0, "a title"), 1.0, 1.0, 6.0, 3.0)
    assert draw_camera(axes, instant) == len(seen)
    boxes = [patch.get_bbox() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 2 * len(seen)  # each with a rim
    for ue in seen:
        left, top, right, bottom = ue.box_px
        assert any(
            box.x0 < left < right < box.x1 and min(box.y0, box.y1) < top < bottom < max(box.y0, box.y1) for box in boxes
        )
