"""Look at a ray-traced set: `python -m models.data.show`.

`--out` draws one snapshot: the map, what camera, LiDAR and radar saw of it, and the tensors that the networks see.
`--coverage` draws the whole set: where its UEs were, who saw the mast, how much power arrived. `--card` writes the
dataset card. Any of the three can be asked for at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from models.data.raytraced.llvm import NoLLVM
from models.data.shards import SettingsMismatch, ShardSet
from models.data.showing.instant import NotInSet


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    try:
        report = _show(args)
    except (ModuleNotFoundError, NoLLVM) as error:
        print(f"cannot load the sensor models: {error}. `make raytrace` installs the Python side.", file=sys.stderr)
        return 2
    except (FileNotFoundError, SettingsMismatch, NotInSet) as error:
        print(error, file=sys.stderr)
        return 2
    lines = [f"wrote {done['path']}, {done['bytes']:,} bytes" for done in report.values()]
    print(json.dumps(report) if args.json else "\n".join(lines))
    return 0


def _show(args: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Write what was asked for; what was written and the counts in it, by the name of the option."""
    from models.data.showing.card import write_card  # after the arguments are known to be good: the ray tracer is heavy
    from models.data.showing.coverage import draw_coverage
    from models.data.showing.frames import gather
    from models.data.showing.instant import layout_of, read_instant, ue_of
    from models.data.showing.look import Heights
    from models.data.showing.snapshot import draw_snapshot

    shards = ShardSet.open(args.set)
    layout = layout_of(shards)
    heights = Heights.load(args.map)
    report: dict[str, dict[str, object]] = {}
    if args.out:
        instant = read_instant(shards, args.episode, args.snapshot)
        report["out"] = draw_snapshot(args.out, instant, ue_of(instant, args.ue), heights)
    if args.coverage or args.card:
        frames = gather(shards, args.json)
        if args.coverage:
            report["coverage"] = draw_coverage(args.coverage, frames, layout, heights)
        if args.card:
            report["card"] = write_card(args.card, shards, frames, layout, args.json)
    return report


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.data.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set", type=Path, default=Path("data/munich-first"), help="folder of the set (default %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="PNG", help="draw one snapshot")
    parser.add_argument("--episode", type=int, default=0, help="of the snapshot (default %(default)s)")
    parser.add_argument("--snapshot", type=int, default=0, help="within the episode (default %(default)s)")
    parser.add_argument("--ue", type=int, default=0, help="whose CSI is drawn (default %(default)s)")
    parser.add_argument("--coverage", type=Path, metavar="PNG", help="draw the whole set")
    parser.add_argument("--card", type=Path, metavar="FILE", help="write the dataset card in Markdown")
    parser.add_argument(
        "--map", type=Path, default=Path("models/zoo/gated-fusion/map.npz"),
        help="heights of the city, to outline its buildings; without the file there are none (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="one JSON line with what was written and its counts, no progress bar"
    )
    args = parser.parse_args(argv)
    if not (args.out or args.coverage or args.card):
        parser.error("expected at least one of --out, --coverage and --card, got none: nothing to write")
    return args


if __name__ == "__main__":
    sys.exit(main())
