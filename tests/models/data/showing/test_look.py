from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models.data.raytraced.layouts import MUNICH
from models.data.showing.look import DPI, WIDTH_IN, Heights, new_figure, place, save, sector_bounds


def test_paper_is_white_and_colours_survive_the_palette(tmp_path: Path) -> None:
    figure = new_figure(3.0, "A title", "a line")
    axes = place(figure, 1.0, 1.5, 4.0, 1.0)
    axes.imshow(np.random.default_rng(0).uniform(size=(40, 160, 3)), aspect="auto")
    line = place(figure, 8.0, 1.5, 4.0, 1.0)
    line.set_axis_off()
    line.axhline(0.5, color="#7a4fa3", linewidth=4)
    size = save(figure, tmp_path / "new" / "picture.png")
    assert size == (tmp_path / "new" / "picture.png").stat().st_size
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.size == (WIDTH_IN * DPI, 3 * DPI)
        pixels = np.asarray(picture.convert("RGB"))
    assert tuple(pixels[2, 2]) == (255, 255, 255)
    assert np.abs(pixels[200, 1000].astype(int) - (0x7A, 0x4F, 0xA3)).max() < 16


def test_map_shows_the_whole_sector_and_the_mast() -> None:
    west, east, south, north = sector_bounds(MUNICH)
    middle = MUNICH.site.boresight_rad
    for angle in np.linspace(middle - np.radians(MUNICH.sector_deg), middle + np.radians(MUNICH.sector_deg), 7):
        x, y = MUNICH.range_m[1] * np.cos(angle), MUNICH.range_m[1] * np.sin(angle)
        assert west < x < east
        assert south < y < north
    assert west < 0 < east
    assert south < 0 < north


def test_missing_map_is_none(tmp_path: Path) -> None:
    assert Heights.load(tmp_path / "map.npz") is None


def test_map_is_read_as_the_export_writes_it(tmp_path: Path) -> None:
    height = np.array([[0.0, np.nan], [20.0, 3.0]], np.float16)
    np.savez_compressed(tmp_path / "map.npz", height=height, extent=np.array([-1.0, 1.0, -2.0, 2.0]))
    heights = Heights.load(tmp_path / "map.npz")
    assert heights is not None
    assert heights.extent_m == (-1.0, 1.0, -2.0, 2.0)
    np.testing.assert_array_equal(heights.height_m, [[0.0, 0.0], [20.0, 3.0]])
