from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models.data.showing.look import DPI, WIDTH_IN, new_figure, place, save


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
