"""Recorders that need no ray tracer: they make up shards of the right form, at once, and fail when told to."""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.data.recipe import Recipe
from models.data.schema import COLUMNS, Arrays

SIZES = {
    "K": 3, "M": 4, "U": 2, "B": 3, "P": 5, "C": 40, "D": 7, "rings": 4, "columns": 8,
    "radar_ranges": 4, "radar_azimuths": 3, "radar_dopplers": 2,
}  # fmt: skip


def random_arrays(rng: np.random.Generator, snapshots: int = 3) -> Arrays:
    """Columns that pass `schema.check`, of random values."""
    sizes = SIZES | {"K": snapshots, "KU+1": snapshots * SIZES["U"] + 1, "K+1": snapshots + 1}
    arrays: Arrays = {}
    for name, column in COLUMNS.items():
        shape = [dim if isinstance(dim, int) else sizes[dim] for dim in column.dims]
        arrays[name] = rng.integers(0, 100, shape).astype(column.dtype)
    for name, rows in (("path_offset", "P"), ("camera_offset", "C"), ("radar_offset", "D")):
        arrays[name] = np.linspace(0, sizes[rows], len(arrays[name])).astype(np.int64)
    return arrays


class FakeRecorder:
    """Records at once; `before` is called with the site and the number of each episode, and may do harm."""

    def __init__(self, site: str, recipe: Recipe, before: Callable[[str, int], None] | None = None) -> None:
        self._site, self._recipe, self._before = site, recipe, before

    def ground(self) -> Arrays:
        return {
            "height_m": np.ones((2, 3), np.float32),
            "zone": np.ones((2, 3), np.uint8),
            "blocked": np.zeros((2, 3), np.uint8),
            "west_south_m": np.array([-1.0, -2.0]),
        }

    def record(self, episode: int) -> Arrays:
        if self._before:
            self._before(self._site, episode)
        rng = np.random.default_rng([self._recipe.seed, zlib.crc32(self._site.encode()), episode])
        return random_arrays(rng, self._recipe.snapshots)


def nap(site: str, episode: int) -> None:
    """As long as a short shard takes."""
    time.sleep(0.25)


def fail_at_2(site: str, episode: int) -> None:
    """An error in our own code."""
    if episode == 2:
        raise ArithmeticError("episode 2 is cursed")


def fail(site: str, episode: int) -> None:
    """An error wherever one looks."""
    raise ArithmeticError(f"episode {episode} is cursed")


def no_tracer(site: str, recipe: Recipe) -> FakeRecorder:
    """A factory on a machine without sionna-rt."""
    raise ModuleNotFoundError("No module named 'sionna'")


class DieOnce:
    """Kill the worker the first time that an episode comes up, as the kernel does when memory runs out."""

    def __init__(self, folder: Path, episodes: tuple[int, ...], naps: bool = False) -> None:
        self._folder, self._episodes, self._naps = folder, episodes, naps

    def __call__(self, site: str, episode: int) -> None:
        mark = self._folder / f"died-{site}-{episode}"
        if episode in self._episodes and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self._naps:
            nap(site, episode)


class HangOnce:
    """Hang in an episode the first time that it comes up, and leave word of the Ray node that it was on."""

    def __init__(self, folder: Path, episode: int) -> None:
        self._mark, self._episode = folder / f"hangs-{episode}", episode

    def __call__(self, site: str, episode: int) -> None:
        import ray

        if episode == self._episode and not self._mark.exists():
            self._mark.write_text(ray.get_runtime_context().get_node_id())
            time.sleep(60)


def die_at_1(site: str, episode: int) -> None:
    """Kill the worker each time that episode 1 comes up."""
    if episode == 1:
        os.kill(os.getpid(), signal.SIGKILL)
