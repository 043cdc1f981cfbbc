"""Look for what a test could know from training: `python -m models.data.leaks --set data/full`.

Goes through every protocol of a built set and exits with 1 where it finds an episode or a trajectory in two parts, a
frame outside its purpose's ground, or held-out ground that a training frame comes too near to. Frames that are nearly a
training frame are counted; loading marks them, and no figure counts them (see `near_duplicates`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.data import splits
from models.data.raytraced.streets import GRID_M
from models.data.raytraced.zones import MARGIN_M, NLOS, OPEN, REGION
from models.data.shards import SettingsMismatch, ShardSet
from models.data.splits import PARTS, Part

NEAR_M = 0.06
"""Half a wavelength of the lowest carrier, 2.6 GHz: fading decorrelates over it (Clarke 1968), so that two frames of
one site farther apart than this are two measurements, and closer ones are nearly the same."""
ZONES = {"region": REGION, "nlos": NLOS}  # all other purposes keep to OPEN
HELD_OUT_M = MARGIN_M - np.sqrt(2) * GRID_M  # training to held-out ground: cells are this much wider than their centres


@dataclass(frozen=True)
class Finding:
    """The test part of one protocol.

    Attributes:
        tracks: UEs that are there, over its episodes.
        closest_m: of any of its frames to a training frame of the same site; infinite where none was taken there.
        near_duplicates: frames that loading marks.
        leaks: what must not be, a line each.
    """

    split: str
    episodes: int
    tracks: int
    frames: int
    closest_m: float
    near_duplicates: int
    leaks: tuple[str, ...]


def near_duplicates(train_m: NDArray[np.floating], other_m: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of the places `[N, 3]` of one site lie within `NEAR_M` of a training place `[M, 3]` there."""
    return _closest_m(train_m, other_m) <= NEAR_M


def places_m(shards: ShardSet, part: Part, site: str) -> NDArray[np.float32]:
    """Positions of all UEs of a part at a site, float32 `[N, 3]`; those that are away are left out."""
    found = [np.zeros((0, 3), np.float32)]
    for name, episode in part.episodes(shards):
        if name == site:
            arrays = shards.read(site, episode, ["ue_position_m", "ue_present"])
            found.append(arrays["ue_position_m"][:, arrays["ue_present"] > 0].reshape(-1, 3))
    return np.concatenate(found)


def find(shards: ShardSet, split: str) -> Finding:
    """Compare the parts of one protocol of a built set."""
    parts = {name: splits.part(shards, split, name) for name in PARTS if name in shards.splits[split]}
    leaks = [line for a, b in combinations(parts, 2) for line in _shared(shards, parts[a], parts[b])]
    leaks += [line for part in parts.values() for line in _strayed(shards, part)]
    test = parts["test"]
    closest = [np.zeros(0)]
    for site in test.sites:
        train_m = places_m(shards, parts["train"], site) if "train" in parts else np.zeros((0, 3), np.float32)
        closest.append(_closest_m(train_m, places_m(shards, test, site)))
    away_m = np.concatenate(closest)
    there = [shards.read(*place, ["ue_present"])["ue_present"].sum() for place in test.episodes(shards)]
    if test.purpose in ZONES and (away_m < HELD_OUT_M).any():
        leaks.append(f"{test.purpose}: a training frame comes within {away_m.min():.2f} m, expected {HELD_OUT_M:.2f} m")
    return Finding(
        split,
        len(test.episodes(shards)),
        int(sum(there)),
        len(away_m),
        float(away_m.min(initial=np.inf)),
        int((away_m <= NEAR_M).sum()),
        tuple(leaks),
    )


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.data.leaks", description=__doc__)
    parser.add_argument("--set", type=Path, required=True, help="folder of a built ray-traced set")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        shards = ShardSet.open(args.set)
    except (FileNotFoundError, SettingsMismatch) as error:
        print(error, file=sys.stderr)
        return 2
    findings = [find(shards, split) for split in shards.splits]
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        print(f"{'tested protocol':24}{'episodes':>10}{'tracks':>10}{'frames':>10}{'closest m':>11}{'twins':>8}")
        for f in findings:
            print(f"{f.split:24}{f.episodes:10}{f.tracks:10}{f.frames:10}{f.closest_m:11.3f}{f.near_duplicates:8}")
            print("".join(f"  LEAK {line}\n" for line in f.leaks), end="")
    return 1 if any(finding.leaks for finding in findings) else 0


def _closest_m(train_m: NDArray[np.floating], other_m: NDArray[np.floating]) -> NDArray[np.float64]:
    if not len(train_m):
        return np.full(len(other_m), np.inf)
    return np.asarray(cKDTree(train_m).query(other_m)[0])


def _shared(shards: ShardSet, one: Part, other: Part) -> list[str]:
    """Episodes of both parts, by number and by what the UEs do in them."""
    mine, theirs = one.episodes(shards), other.episodes(shards)
    leaks = [f"{site}: episode {episode} is in two parts" for site, episode in set(mine) & set(theirs)]
    walks = {_walk(shards, *place): place for place in mine}
    for place in theirs:
        if (twin := walks.get(_walk(shards, *place), place)) != place:
            leaks.append(f"{place[0]}: the UEs of episodes {twin[1]} and {place[1]} move alike")
    return leaks


def _walk(shards: ShardSet, site: str, episode: int) -> bytes:
    return site.encode() + shards.read(site, episode, ["ue_position_m"])["ue_position_m"].tobytes()


def _strayed(shards: ShardSet, part: Part) -> list[str]:
    leaks = []
    for site, episode in part.episodes(shards):
        arrays = shards.read(site, episode, ["zone", "ue_present"])
        outside = (arrays["zone"] != ZONES.get(part.purpose, OPEN))[:, arrays["ue_present"] > 0]
        if outside.any():
            leaks.append(
                f"{site}: {outside.sum()} frames of episode {episode} are outside the ground of {part.purpose}"
            )
    return leaks


if __name__ == "__main__":
    sys.exit(main())
