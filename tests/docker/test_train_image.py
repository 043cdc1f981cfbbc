"""The training image, built step by step from its Dockerfile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker.container import Container
from tests.docker.image_builder import ImageBuilder

pytestmark = pytest.mark.slow

TRACE = """
from models.data.raytraced.llvm import use_llvm
use_llvm()
import mitsuba
mitsuba.set_variant("llvm_ad_mono_polarized")
import drjit
print(float(drjit.sum(drjit.arange(drjit.llvm.Float, 5))[0]))
"""


def test_image_trains_and_traces_rays(builder_of: Callable[[str], ImageBuilder], tmp_path: Path) -> None:
    image = builder_of("train.Dockerfile").build("0")
    print(f"train: {image.size_mb:.0f} MB")
    container = Container(image, tmp_path / "log", HOME="/tmp")
    status, printed = container.run(*image.start)
    assert status == 0, printed
    assert "gated-fusion" in printed
    status, printed = container.run("python", "-c", TRACE)
    assert (status, printed.split()[-1:]) == (0, ["10.0"])
