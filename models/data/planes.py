"""Angle-delay images of a ray-traced set, made once and mapped from disk: a training step must not wait for a DFT.

`python -m models.data.planes` makes them for every episode. They are what `service.normalizers.csi.csi_planes` gives
for the stored measurements, in steps of 1/127.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.frames import Frames
from models.data.raytraced.frontend import Measured
from models.data.shards import SettingsMismatch, ShardSet, replace_file
from service.contract.manifest import NORMALIZER_VERSION
from service.normalizers.csi import csi_planes

LEVELS = 127  # of a plane's range from 0 to 1


def folder_of(shards: ShardSet) -> Path:
    """Where the planes of a set lie; another set or another normalizer has another folder."""
    return shards.folder.parent / "planes" / f"{shards.fingerprint}-{NORMALIZER_VERSION}"


def path_of(shards: ShardSet, site: str, episode: int) -> Path:
    """The file of one episode: int8 `[K, U, B, 6, 32, 64]` in NumPy's format."""
    return folder_of(shards) / f"{site}-{episode:05d}.npy"


def make(shards: ShardSet, wanted: Iterable[tuple[str, int]], workers: int, quiet: bool = False) -> int:
    """Make what is missing of the episodes `wanted`, (site, number); returns how many were made."""
    missing = [place for place in wanted if not path_of(shards, *place).exists()]
    if not missing:
        return 0
    folder_of(shards).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(_make, [shards.folder] * len(missing), *zip(*missing, strict=True))
        for _ in tqdm(done, desc="planes", unit="episode", total=len(missing), disable=quiet):
            pass
    return len(missing)


def _make(folder: Path, site: str, episode: int) -> None:
    shards = ShardSet.open(folder)
    arrays = shards.read(site, episode, ("csi_levels", "csi_scale"))
    planes = np.empty((*arrays["csi_scale"].shape, 6, 32, 64), np.int8)  # [K, U, B, 6, 32, 64]
    for snapshot in range(len(planes)):
        csi = Measured(arrays["csi_levels"][snapshot], arrays["csi_scale"][snapshot]).csi()
        found = csi_planes(csi.reshape(-1, *csi.shape[-2:])).reshape(planes.shape[1:])
        planes[snapshot] = np.rint(found * LEVELS).astype(np.int8)
    file = io.BytesIO()
    np.save(file, planes, allow_pickle=False)
    replace_file(path_of(shards, site, episode), file.getvalue())


class Planes:
    """The planes of some frames, mapped."""

    def __init__(self, shards: ShardSet, frames: Frames, band_numbers: list[int]) -> None:
        """Args: band_numbers: axis of the file for each of `frames.bands`."""
        self._frames, self._bands = frames, band_numbers
        _, first = np.unique(frames.shard, return_index=True)
        places = [(frames.sites[frames.site[row]].name, int(frames.episode[row])) for row in first]
        self._files = {
            int(frames.shard[row]): np.load(path_of(shards, *place), mmap_mode="r")
            for row, place in zip(first, places, strict=True)
        }

    def of(self, frames: Frames) -> Planes:
        """The planes of some of the same frames."""
        found = copy.copy(self)
        found._frames = frames
        return found

    def at_bands(self, numbers: Sequence[int]) -> Planes:
        """The planes of the same frames at some of their bands."""
        found = copy.copy(self)
        found._bands = [self._bands[number] for number in numbers]
        return found

    def read(self, rows: NDArray[np.integer], bands: NDArray[np.integer]) -> NDArray[np.int8]:
        """Planes int8 `[N, 6, 32, 64]` of frames `rows` `[N]`, each at one of the frames' bands `[N]`."""
        f = self._frames
        out = np.empty((len(rows), 6, 32, 64), np.int8)
        for k, (row, band) in enumerate(zip(rows, bands, strict=True)):
            out[k] = self._files[f.shard[row]][f.snapshot[row], f.ue[row], self._bands[band]]
        return out


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.data.planes", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    try:
        shards = ShardSet.open(args.set)
        every = [(site, episode) for site in shards.recipe.sites for episode in shards.episodes(site)]
        made = make(shards, every, args.workers, args.json)
    except (FileNotFoundError, SettingsMismatch) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"made {made} of {len(every)}, in {folder_of(shards)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
