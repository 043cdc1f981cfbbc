"""Every frame of a set in a few numbers: where the UE was, what blocked it, and how much of its power arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.raytraced.bands import Band
from models.data.raytraced.paths import DELAY_WINDOW_S
from models.data.recipe import PURPOSES
from models.data.schema import Arrays
from models.data.shards import ShardSet
from models.data.showing.instant import NotInSet, bands_of, sites_of
from models.data.showing.links import most_loss_db, path_loss_db
from models.data.showing.look import BLOCKER_NAMES

_READ = [
    "ue_position_m", "ue_present", "blocker", "box_px", "path_offset", "path_gain", "path_delay_s", "distance_m",
    "present", "time_s",
]  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """N frames, a frame being one UE at one snapshot, at B bands. UEs that are away or silent have none.

    Attributes:
        sites: names, in the order of the recipe; only those of which something has been built.
        site: int64 `[N]` index into `sites`.
        purpose: int64 `[N]` index into `recipe.PURPOSES`.
        position_m: float32 `[N, 3]` of the UE's antenna, ENU of its site.
        range_m: float64 `[N]` slant range from the array.
        blocker: uint8 `[N]` index into `look.BLOCKER_NAMES`.
        visible: bool `[N]` whether the camera sees the UE's body.
        paths: int64 `[N]`, 0 is an outage.
        path_loss_db: float64 `[N, B]` over all paths, infinite in an outage.
        csi_loss_db: float64 `[N, B]` over the paths that the CSI is made of, those within the delay window.
        detected: bool `[N, B]` whether a distance was measured.
        episodes: int64 `[E, 3]` index of the site, index of the purpose and snapshots of every episode.
        present: bool `[E, M]` which bodies of the cast were there.
    """

    sites: tuple[str, ...]
    bands: tuple[Band, ...]
    site: NDArray[np.int64]
    purpose: NDArray[np.int64]
    position_m: NDArray[np.float32]
    range_m: NDArray[np.float64]
    blocker: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    paths: NDArray[np.int64]
    path_loss_db: NDArray[np.float64]
    csi_loss_db: NDArray[np.float64]
    detected: NDArray[np.bool_]
    episodes: NDArray[np.int64]
    present: NDArray[np.bool_]

    @property
    def snapshots(self) -> int:
        """Of all episodes, the empty ones included."""
        return int(self.episodes[:, 2].sum())

    @property
    def outage(self) -> NDArray[np.bool_]:
        """Frames without any path, `[N]`."""
        return self.paths == 0

    @property
    def below_noise(self) -> NDArray[np.bool_]:
        """Frames whose CSI is weaker than the noise of an antenna element, over the whole band, `[N, B]`."""
        return self.csi_loss_db > np.array([most_loss_db(band) for band in self.bands])

    @property
    def late(self) -> NDArray[np.bool_]:
        """Frames with paths, all of which come after the delay window, `[N]`."""
        return ~self.outage & ~np.isfinite(self.csi_loss_db).any(1)

    def where(self, chosen: NDArray[np.bool_]) -> Frames:
        """Only some of the frames, bool `[N]`; episodes stay as they are."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        per_frame = ("site", "purpose", "position_m", "range_m", "blocker", "visible", "paths",
                     "path_loss_db", "csi_loss_db", "detected")  # fmt: skip
        return Frames(**kept | {name: kept[name][chosen] for name in per_frame})


def gather(shards: ShardSet, sites: Sequence[str], quiet: bool) -> Frames:
    """Read every shard of some sites of a set, of all where none is named. Raises `NotInSet` where nothing is built."""
    built = sites_of(shards)
    for site in sites:
        if site not in built:
            raise NotInSet(f"--site of {shards.folder}: expected one of {', '.join(built) or 'none'}, got {site!r}")
    chosen = tuple(site for site in built if site in sites) or built
    tasks = [(site, episode) for site in chosen for episode in shards.episodes(site)]
    if not tasks:
        raise NotInSet(f"{shards.folder}: expected at least one built episode, got none; run models.data.build")
    columns: dict[str, list[NDArray[np.generic]]] = {}
    for site, episode in tqdm(tasks, desc="read", unit="episode", disable=quiet):
        purpose = PURPOSES.index(shards.settings["purposes"][site][episode])
        arrays = shards.read(site, episode, _READ)
        for key, value in _columns(arrays, chosen.index(site), purpose, shards.site(site).mast_height_m):
            columns.setdefault(key, []).append(value)
    joined = {key: np.concatenate(values) for key, values in columns.items()}
    if not len(joined["site"]):
        raise NotInSet(f"{shards.folder}: expected an episode in which somebody transmits, got only empty scenes")
    return Frames(sites=chosen, bands=bands_of(shards), **joined)


def counts(frames: Frames) -> dict[str, object]:
    """Figures of a whole set, for titles and for machines."""
    return {
        "episodes": len(frames.episodes), "snapshots": frames.snapshots, "frames": len(frames.site),
        "sites": {name: group_counts(frames, frames.site == i) for i, name in enumerate(frames.sites)},
        "purposes": {name: group_counts(frames, frames.purpose == i) for i, name in enumerate(PURPOSES)},
        **group_counts(frames, np.ones(len(frames.site), bool)),
    }  # fmt: skip


def group_counts(frames: Frames, chosen: NDArray[np.bool_]) -> dict[str, object]:
    """Frames by blocker, and those in outage and visible, among the chosen frames, bool `[N]`."""
    blocked = np.bincount(frames.blocker[chosen], minlength=len(BLOCKER_NAMES))
    return {
        "frames": int(chosen.sum()),
        "blockers": {name: int(count) for name, count in zip(BLOCKER_NAMES, blocked, strict=True)},
        "outages": int(frames.outage[chosen].sum()), "visible": int(frames.visible[chosen].sum()),
    }  # fmt: skip


def _columns(arrays: Arrays, site: int, purpose: int, mast_m: float) -> list[tuple[str, NDArray[np.generic]]]:
    """Columns of the frames, and of the episode, of one shard."""
    there = np.broadcast_to(arrays["ue_present"].astype(bool), arrays["blocker"].shape)
    position = arrays["ue_position_m"][there]
    count = len(position)
    return [
        ("site", np.full(count, site)), ("purpose", np.full(count, purpose)),
        ("position_m", position), ("range_m", np.linalg.norm(position - np.float64([0.0, 0.0, mast_m]), axis=1)),
        ("blocker", arrays["blocker"][there]), ("visible", (arrays["box_px"][..., 0] >= 0)[there]),
        ("paths", np.diff(arrays["path_offset"]).reshape(there.shape)[there]),
        ("path_loss_db", path_loss_db(arrays)[there]),
        ("csi_loss_db", path_loss_db(arrays, DELAY_WINDOW_S)[there]),
        ("detected", np.isfinite(arrays["distance_m"][there])),
        ("episodes", np.array([[site, purpose, len(arrays["time_s"])]])),
        ("present", arrays["present"].astype(bool)[None]),
    ]  # fmt: skip
