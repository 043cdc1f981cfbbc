"""Build a ray-traced set: `python -m models.data.build`.

Deterministic: an episode depends on the settings and its own number only, so a build can be interrupted at any time,
resumed, and split over machines. Refuses to mix settings in one folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from models.data.raytraced.bodies import Body
from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.llvm import NoLLVM
from models.data.shards import SettingsMismatch, ShardSet


@dataclass(frozen=True)
class Profile:
    """How much is built.

    Attributes:
        episodes: independent scenes; each has its own traffic, light and paint.
        snapshots: instants of an episode.
        period_s: time from one snapshot to the next.
    """

    episodes: int
    snapshots: int
    period_s: float


PROFILES = {
    "sample": Profile(episodes=2, snapshots=3, period_s=0.5),
    "small": Profile(episodes=12, snapshots=10, period_s=0.5),
    "first": Profile(episodes=240, snapshots=10, period_s=0.5),
}

CAST: tuple[Body, ...] = (
    *(Body("car", carries_ue=True) for _ in range(10)),
    *(Body("bus", carries_ue=True) for _ in range(2)),
    *(Body("person", carries_ue=True) for _ in range(4)),
    *(Body("bus", carries_ue=False) for _ in range(3)),
    *(Body("truck", carries_ue=False) for _ in range(4)),
    *(Body("truck", carries_ue=False, parked=True) for _ in range(3)),
    *(Body("car", carries_ue=False, parked=True) for _ in range(4)),
    *(Body("person", carries_ue=False) for _ in range(4)),
)


def settings(layout: str, profile: Profile, seed: int) -> dict[str, object]:
    """Everything that the bytes of a set depend on, but the code."""
    return {
        "layout": layout,
        "site": LAYOUTS[layout].site.to_json(),
        "cast": [asdict(body) for body in CAST],
        "snapshots": profile.snapshots,
        "period_s": profile.period_s,
        "seed": seed,
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    profile = PROFILES[args.profile]
    if args.episodes:
        profile = Profile(args.episodes, profile.snapshots, profile.period_s)
    shards = ShardSet(
        args.out or Path("data") / f"{args.layout}-{args.profile}", settings(args.layout, profile, args.seed)
    )
    try:
        shards.create()
    except SettingsMismatch as error:
        print(error, file=sys.stderr)
        return 2
    mine = [e for e in range(profile.episodes) if e % args.shards == args.shard]
    missing = [e for e in mine if not shards.path(e).exists()]
    started = time.perf_counter()
    if missing:
        try:
            from models.data.raytraced.recorder import Recorder  # heavy, and needs the raytrace extra
        except (ModuleNotFoundError, NoLLVM) as error:
            print(f"cannot trace rays: {error}. `make raytrace` installs the Python side.", file=sys.stderr)
            return 2
        recorder = Recorder(LAYOUTS[args.layout], CAST, profile.snapshots, profile.period_s, args.seed)
        done = len(mine) - len(missing)
        for episode in tqdm(missing, unit="episode", initial=done, total=len(mine), disable=args.json):
            shards.write(episode, recorder.record(episode))
    spent = time.perf_counter() - started
    built = len(missing) * profile.snapshots
    report = {
        "folder": str(shards.folder),
        "fingerprint": shards.fingerprint,
        "episodes": len(shards.episodes()),
        "snapshots_built": built,
        "seconds": round(spent, 1),
        "snapshots_per_s": round(built / spent, 3) if built else None,
        "bytes": sum(p.stat().st_size for p in shards.folder.iterdir()),
    }
    print(json.dumps(report) if args.json else "\n".join(f"{key:16} {value}" for key, value in report.items()))
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.data.build", description=__doc__)
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="munich")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="first")
    parser.add_argument("--episodes", type=int, help="other number of episodes than the profile's")
    parser.add_argument("--out", type=Path, help="folder of the set (default data/<layout>-<profile>)")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--shard", type=int, default=0, help="build only every --shards'th episode, from this one on")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a progress bar")
    args = parser.parse_args(argv)
    if not 0 <= args.shard < args.shards:
        parser.error(f"--shard: expected a number from 0 to {args.shards - 1} (--shards - 1), got {args.shard}")
    return args


if __name__ == "__main__":
    sys.exit(main())
