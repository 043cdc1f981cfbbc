from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docker.debian_root import make_debian_root, need_chroot
from tests.docker.image_builder import ImageBuilder
from tests.docker.recipe import read_stages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Makes the root of a Debian image, each once; skips the test where that cannot be done."""
    need_chroot()
    folder, made = tmp_path_factory.mktemp("debian"), dict[str, Path]()

    def base(image: str) -> Path:
        if image not in made:
            made[image] = make_debian_root(image, folder / str(len(made)))
        return made[image]

    yield base
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def builder_of(
    tmp_path_factory: pytest.TempPathFactory, debian: Callable[[str], Path]
) -> Iterator[Callable[[str], ImageBuilder]]:
    """Makes the builder of a Dockerfile in docker/; what it builds, some gigabytes, is gone with the module's tests."""
    folder = tmp_path_factory.mktemp("images")

    def make(name: str) -> ImageBuilder:
        return ImageBuilder(read_stages(ROOT / "docker" / name), ROOT, folder, debian, folder / "build.log")

    yield make
    shutil.rmtree(folder)
