"""Look at a ray-traced set: `python -m models.data.show`.

`--out` draws one snapshot: the map with the UEs and their strongest rays, what camera, LiDAR and radar saw of it, and
the tensors that the networks see. `--coverage` draws the sites: where the UEs were and who had line of sight;
`--path-loss` their links at every band. `--card` writes the dataset card, with those three pictures beside it. Any of
them can be asked for at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from models.data.raytraced.llvm import NoLLVM
from models.data.shards import SettingsMismatch, ShardSet
from models.data.showing.instant import NotInSet, bands_of, read_instant, ue_of

_PICTURES = {"out": "snapshot", "coverage": "coverage", "path_loss": "path-loss"}  # of a card


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    try:
        report = _show(args)
    except (ModuleNotFoundError, NoLLVM) as error:
        print(
            f"cannot load the sensor models that a card quotes: {error}. `make raytrace` installs them.",
            file=sys.stderr,
        )
        return 2
    except (FileNotFoundError, SettingsMismatch, NotInSet) as error:
        print(error, file=sys.stderr)
        return 2
    lines = [f"wrote {done['path']}, {done['bytes']:,} bytes" for done in report.values()]
    print(json.dumps(report) if args.json else "\n".join(lines))
    return 0


def _show(args: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Write what was asked for; what was written and the counts in it, by the name of the option."""
    from models.data.showing.card import write_card
    from models.data.showing.coverage import draw_coverage
    from models.data.showing.frames import gather
    from models.data.showing.path_loss import draw_path_loss
    from models.data.showing.snapshot import draw_snapshot

    shards = ShardSet.open(args.set)
    paths = {name: getattr(args, name) for name in _PICTURES}
    if args.card:
        beside = {name: args.card.with_name(f"{args.card.stem}-{word}.png") for name, word in _PICTURES.items()}
        paths = {name: paths[name] or beside[name] for name in paths}
    report: dict[str, dict[str, object]] = {}
    if paths["out"]:
        instant = read_instant(shards, args.site, args.episode, args.snapshot)
        ue, band = ue_of(instant, args.ue), _band(shards, args.band)
    if paths["coverage"] or paths["path_loss"]:
        frames = gather(shards, [args.site] if args.site and not args.card else [], args.json)
    if args.card:  # before its pictures, which take longer: it may lack what it quotes
        report["card"] = write_card(args.card, shards, frames, list(paths.values()), args.json)
    if paths["out"]:
        report["out"] = draw_snapshot(paths["out"], instant, ue, band)
    if paths["coverage"]:
        report["coverage"] = draw_coverage(paths["coverage"], shards, frames)
    if paths["path_loss"]:
        report["path_loss"] = draw_path_loss(paths["path_loss"], shards, frames)
    return report


def _band(shards: ShardSet, name: str) -> int:
    names = [band.name for band in bands_of(shards)]
    if name not in names:
        raise NotInSet(f"--band of {shards.folder}: expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.data.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="draw one snapshot")
    parser.add_argument("--site", help="of the snapshot, or the only one of a set's pictures (default: the first; all)")
    parser.add_argument("--episode", type=int, help="of the snapshot (default: the first of the site)")
    parser.add_argument("--snapshot", type=int, default=0, help="within the episode (default %(default)s)")
    parser.add_argument("--ue", type=int, default=0, help="whose CSI and rays are drawn (default %(default)s)")
    parser.add_argument("--band", default="6 GHz", help="that the rays are drawn at (default %(default)s)")
    parser.add_argument("--coverage", type=Path, metavar="PNG", help="draw the sites of the set")
    parser.add_argument("--path-loss", type=Path, metavar="PNG", help="draw the links of the set")
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="write the dataset card in Markdown, and the three pictures beside it"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON line with what was written and its counts, no progress bar"
    )
    args = parser.parse_args(argv)
    if not (args.out or args.coverage or args.path_loss or args.card):
        parser.error("expected at least one of --out, --coverage, --path-loss and --card, got none: nothing to write")
    return args


if __name__ == "__main__":
    sys.exit(main())
