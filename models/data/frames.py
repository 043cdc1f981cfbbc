"""Radio frames of many sites and bands: what a model that fuses CSI, angle profile, distance and gain learns from.

Everything small is in memory, one row a frame; the CSI and the paths stay in the shards, which are mapped, and are read
for the rows of a batch only. Systems that look at scene captures use `models.data.raytraced_set`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tqdm import tqdm

from models.data import splits
from models.data.leaks import near_duplicates, places_m
from models.data.raytraced.bands import BANDS, Band, band_index
from models.data.raytraced.frontend import Measured, measure
from models.data.raytraced.paths import Paths, synthesise
from models.data.schema import Arrays
from models.data.shards import ShardSet
from service.contract.sites import Site

_COLUMNS = (
    "time_s", "ue_present", "ue_position_m", "ue_velocity_mps", "blocker", "zone", "box_share", "path_offset",
    "aoa_profile", "distance_m", "gain_db", "csi_scale",
)  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """F frames of B bands, in the order site, episode, snapshot, UE; positions are in the mast frame of their site.

    Attributes:
        sites, bands: those that `site` and the axis B refer to.
        shards: files that `shard` refers to, open and mapped.
        site: int16 `[F]`; episode: int32 `[F]`; snapshot, ue: int16 `[F]`.
        track: int32 `[F]` number of the trajectory: one UE of one episode.
        shard: int32 `[F]`; path_rows: int64 `[F, 2]` first and last + 1 of the paths in the shard; none is an outage.
        time_s: float64 `[F]` since the start of the episode.
        position_m: float32 `[F, 3]` forward, left, up; velocity_mps: float32 `[F, 2]` forward, left.
        blocker: uint8 `[F]` as in the schema; zone: uint8 `[F]`; visible: bool `[F]` whether the camera sees the body.
        aoa: float16 `[F, B, 64]`; distance_m: float32 `[F, B]`, NaN where no path was detected; gain_dbm: float32
            `[F, B]`; csi_scale: float32 `[F, B]`.
        present: bool `[F]` False only in empty scenes, where the position means nothing.
        labelled: bool `[F]` whether training may use the truth.
        duplicate: bool `[F]` nearly a training frame (see `leaks.near_duplicates`); figures leave it out.
    """

    sites: tuple[Site, ...]
    bands: tuple[Band, ...]
    shards: tuple[safe_open, ...]
    site: NDArray[np.int16]
    episode: NDArray[np.int32]
    snapshot: NDArray[np.int16]
    ue: NDArray[np.int16]
    track: NDArray[np.int32]
    shard: NDArray[np.int32]
    path_rows: NDArray[np.int64]
    time_s: NDArray[np.float64]
    position_m: NDArray[np.float32]
    velocity_mps: NDArray[np.float32]
    blocker: NDArray[np.uint8]
    zone: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    aoa: NDArray[np.float16]
    distance_m: NDArray[np.float32]
    gain_dbm: NDArray[np.float32]
    csi_scale: NDArray[np.float32]
    present: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.site)

    @property
    def los(self) -> NDArray[np.bool_]:
        """Line of sight, bool `[F]`."""
        return self.blocker == 0

    @property
    def paths(self) -> NDArray[np.int64]:
        """Number of paths, `[F]`; 0 is an outage."""
        return self.path_rows[:, 1] - self.path_rows[:, 0]

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Frames:
        """Some of the frames."""
        shared = ("sites", "bands", "shards")
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in shared})

    def at_bands(self, numbers: Sequence[int]) -> Frames:
        """The same frames at some of their bands."""
        per_band = ("aoa", "distance_m", "gain_dbm", "csi_scale")
        columns = {name: getattr(self, name)[:, list(numbers)] for name in per_band}
        return replace(self, bands=tuple(self.bands[number] for number in numbers), **columns)

    def csi(self, rows: NDArray[np.integer]) -> NDArray[np.complex64]:
        """The stored measurements of `rows` `[N]`, complex64 `[N, B, 32, 64]` in sqrt(mW)."""
        index = [band_index(band.name) for band in self.bands]
        levels = np.empty((len(rows), len(index), 32, 64, 2), np.int8)
        for out, row in enumerate(rows):
            column = self.shards[self.shard[row]].get_slice("csi_levels")
            place = int(self.snapshot[row]), int(self.ue[row])
            for band, number in enumerate(index):
                levels[out, band] = column[(*place, number)]
        return Measured(levels, self.csi_scale[rows]).csi()

    def clean(self, rows: NDArray[np.integer]) -> NDArray[np.complex64]:
        """The channels of `rows` `[N]` without receiver, complex64 `[N, B, 32, 64]`: amplitude gains."""
        found = np.empty((len(rows), len(self.bands), 32, 64), np.complex64)
        for number, site in enumerate(self.sites):
            mine = np.flatnonzero(self.site[rows] == number)
            if not len(mine):
                continue
            paths = self._paths(rows[mine])
            for index, band in enumerate(self.bands):
                found[mine, index] = synthesise(paths, band_index(band.name), band.bandwidth_hz, site)
        return found

    def measured_anew(self, rows: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.complex64]:
        """As `csi`, with new noise, phase and timing offset: what training should see in every epoch."""
        clean = self.clean(rows)
        return np.stack([measure(clean[:, b], band, rng).csi() for b, band in enumerate(self.bands)], 1)

    def _paths(self, rows: NDArray[np.integer]) -> Paths:
        parts: dict[str, list[NDArray[np.float32]]] = {}
        for row in rows:
            shard, (first, last) = self.shards[self.shard[row]], self.path_rows[row].tolist()
            for name in ("gain", "delay_s", "site_angle"):
                parts.setdefault(name, []).append(shard.get_slice(f"path_{name}")[first:last])
        columns = {name: np.concatenate(part) for name, part in parts.items()}
        columns["gain"] = columns["gain"].view(np.complex64)[..., 0]
        unread = dict.fromkeys(("ue_angle", "rate_mps", "kind", "vertex_m"), np.zeros(0, np.float32))
        return Paths(np.cumsum([0, *self.paths[rows]]), **columns, **unread)


def load(
    folder: Path,
    split: str,
    part: str,
    sites: Sequence[str] | None = None,
    bands: Sequence[str] | None = None,
    quiet: bool = False,
) -> Frames:
    """Frames of one part (`"train"`, `"val"`, `"test"`) of a protocol (see `splits.describe`).

    Args:
        sites: only these of the part's sites; all where None.
        bands: names of bands, in the order wanted; all where None.

    Raises:
        ValueError: no such split, part, site or band.
        FileNotFoundError: nothing of the part has been built.
    """
    shards = ShardSet.open(folder)
    chosen = splits.part(shards, split, part)
    names = tuple(sites or chosen.sites)
    if strays := sorted(set(names) - set(chosen.sites)):
        raise ValueError(f"site: expected some of {', '.join(chosen.sites)} in {split}/{part}, got {', '.join(strays)}")
    used = tuple(BANDS[band_index(name)] for name in bands) if bands else BANDS
    episodes = [(site, episode) for site, episode in chosen.episodes(shards) if site in names]
    if not episodes:
        raise FileNotFoundError(f"{folder}: expected episodes of {split}/{part}, got none; build more of the set")
    train = splits.part(shards, split, "train") if part != "train" and "train" in shards.splits[split] else None
    tables = []
    for number, (name, episode) in enumerate(tqdm(episodes, desc=f"load {part}", unit="episode", disable=quiet)):
        arrays = shards.read(name, episode, _COLUMNS)
        table = _table(arrays, shards.site(name), [band_index(band.name) for band in used], chosen.purpose == "empty")
        count = len(table["ue"])
        table |= {
            "site": np.full(count, names.index(name), np.int16),
            "episode": np.full(count, episode, np.int32),
            "shard": np.full(count, number, np.int32),
            "labelled": np.array([chosen.is_labelled(name, episode, int(ue)) for ue in table["ue"]], bool),
        }
        tables.append(table)
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    _, track = np.unique(np.stack([columns["shard"], columns["ue"]]), axis=1, return_inverse=True)
    return Frames(
        sites=tuple(shards.site(name) for name in names),
        bands=used,
        shards=tuple(safe_open(shards.path(*place), framework="numpy") for place in episodes),
        track=track.astype(np.int32),
        duplicate=_duplicates(shards, train, names, columns),
        **{name: values for name, values in columns.items() if name != "enu_m"},
    )


def _table(arrays: Arrays, site: Site, bands: list[int], empty: bool) -> Arrays:
    """The columns of a shard, one row a frame; UEs that are away are left out, but for an empty scene."""
    snapshots, ues = arrays["blocker"].shape
    snapshot, ue = (a.ravel() for a in np.indices((snapshots, ues)))
    offset = arrays["path_offset"]
    enu_m = arrays["ue_position_m"].reshape(-1, 3)
    radio = {
        name: arrays[name].reshape(snapshots * ues, *arrays[name].shape[2:])[:, bands]
        for name in ("aoa_profile", "distance_m", "gain_db", "csi_scale")
    }
    present = arrays["ue_present"][ue] > 0
    table = {
        "snapshot": snapshot.astype(np.int16),
        "ue": ue.astype(np.int16),
        "path_rows": np.stack([offset[:-1], offset[1:]], 1),
        "time_s": arrays["time_s"][snapshot],
        "enu_m": enu_m,
        "position_m": site.to_mast(enu_m).astype(np.float32),
        "velocity_mps": site.to_mast(arrays["ue_velocity_mps"].reshape(-1, 2)).astype(np.float32),
        "blocker": arrays["blocker"].ravel(),
        "zone": arrays["zone"].ravel(),
        "visible": arrays["box_share"].ravel() > 0,
        "aoa": radio["aoa_profile"],
        "distance_m": radio["distance_m"],
        "gain_dbm": radio["gain_db"],
        "csi_scale": radio["csi_scale"],
        "present": present,
    }
    return table if empty else {name: values[present] for name, values in table.items()}


def _duplicates(
    shards: ShardSet, train: splits.Part | None, sites: tuple[str, ...], columns: Arrays
) -> NDArray[np.bool_]:
    found = np.zeros(len(columns["site"]), bool)
    if train is not None:
        for number, site in enumerate(sites):
            mine = (columns["site"] == number) & columns["present"]
            found[mine] = near_duplicates(places_m(shards, train, site), columns["enu_m"][mine])
    return found
