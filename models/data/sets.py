"""Which data sets there are, and what each has: `python -m models.data.sets`.

Prints one table: modalities, labels, parts, licence and the figure to beat of every measured set, and of the ray-traced
one beside them. With `--data` the samples of each part are counted as they load. `--markdown` prints the card
`models/data/cards/measured.md`; `--check` fails where that card has drifted from the code.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from models.data import splits
from models.data.measured import csu, deepsense, geotec, radhar, radiate
from models.data.measured.files import BadFile
from models.data.measured.samples import Column, MeasuredSet, Samples
from models.data.raytraced.bands import BANDS
from models.data.recipe import PURPOSES, RECIPES

SETS: dict[str, MeasuredSet] = {
    each.name: each for each in (radhar.SET, geotec.SET, *csu.SETS, *deepsense.SETS, radiate.SET)
}
"""Every measured set by name; one whose samples are split in several ways is here once for each."""

CARD = Path(__file__).parent / "cards" / "measured.md"
_USES = {
    "train": "train, ship",
    "compare": "compare only",
    "evaluate": "evaluate only, ship nothing",
    "plumbing": "try the loaders, ship nothing",
}
_BANDS = ", ".join(band.name for band in BANDS)
_RAYTRACED = (
    "ray-traced",
    f"csi, aoa, distance, gain (each at {_BANDS}), camera, radar, lidar",
    "position, velocity, los, blocker, zone, box in the camera",
    "train, val and test of " + ", ".join(splits.describe(RECIPES["full"])),
    "train, ship",
    "Apache-2.0; cities from OpenStreetMap, ODbL",
    "our baselines of the same run",
)
_HEAD = ("set", "modalities", "labels", "parts", "use", "licence", "figure to beat")
_COUNT_HEAD = ("set", "part", "samples", "groups", "classes")
_INTRO = """\
# Measured data sets

Written by `python -m models.data.sets --data FOLDER --markdown`; no figure here was measured on ray-traced data, and
ray-traced and measured data are never mixed in one figure. The files stay with their authors: none of them is part of
this repository, and `FOLDER` is where the reader keeps them. All are read through one interface:

```python
from models.data.sets import SETS

samples = SETS["geotec-csi"].load(folder, "train")  # .inputs and .labels by name, .group: what a split must not tear
```

`train` and `val` together are what is published as training part; `val` is ours, so that nothing is chosen on a test
part. *Computed here* is our measurement under the same protocol: `python -m models.baselines.measured --data FOLDER`
prints each with its protocol and seeds, as mean ± standard deviation over three seeds, of `deepsense-random` over the
authors' five splits, where something is random. The other figures are the authors' own."""


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    if args.check:
        return _check(args.card)
    try:
        counts = count(args.data) if args.data else None
    except (FileNotFoundError, BadFile) as error:
        print(error, file=sys.stderr)
        return 2
    print(card(counts) if args.markdown else _plain(counts))
    return 0


def count(data: Path) -> list[tuple[str, ...]]:
    """A row for each part of each set below `data`, in the order of `_COUNT_HEAD`; for sets that are not there, one.

    Raises:
        FileNotFoundError: there is no such folder, or a set's folder lacks a file.
        BadFile: a file of a set is not what it should be.
    """
    if not data.is_dir():
        raise FileNotFoundError(
            f"{data}: expected the folder that has radhar/, geotec_csi_har/ …, found no such folder"
        )
    rows = [row for each in SETS.values() for row in _count_set(each, data / each.folder)]
    recipe = RECIPES["full"]
    episodes = Counter(purpose for site in recipe.sites for purpose in recipe.purposes(site))
    tracks = {part: episodes[part] * sum(body.carries_ue for body in recipe.bodies) for part in PURPOSES}
    named = (("ray-traced", part, recipe.snapshots * tracks[part], tracks[part]) for part in PURPOSES)
    return rows + [(name, part, f"{frames:,} planned", f"{group:,}", "–") for name, part, frames, group in named]


def card(counts: Sequence[Sequence[str]] | None) -> str:
    """The card in Markdown: what the code says of the sets, then, where they were counted, how much of it is there."""
    return _described() + ("\n" + _counted(counts) if counts else "")


def _count_set(each: MeasuredSet, folder: Path) -> list[tuple[str, ...]]:
    if not folder.is_dir():
        return [(each.name, part, f"no {each.folder}/", "–", "–") for part in each.parts]
    rows: list[tuple[str, ...]] = []
    for part in each.parts:
        samples = each.load(folder, part)
        rows.append(
            (each.name, part, f"{len(samples):,}", f"{len(set(samples.group.tolist())):,}", _classes(each, samples))
        )
    return rows


def _classes(each: MeasuredSet, samples: Samples) -> str:
    """How many samples the rarest and the most frequent class have, of the labels that are classes."""
    named = {name: len(column.classes) for name, column in each.labels.items() if column.classes}
    found = [np.bincount(samples.labels[name].astype(np.int64), minlength=total) for name, total in named.items()]
    return "; ".join(f"{len(values)}, of {values.min():,} to {values.max():,}" for values in found) or "–"


def _check(path: Path) -> int:
    """1 where the part of the card that needs no data differs from what the code would write now."""
    if path.exists() and path.read_text().startswith(_described()):
        return 0
    print(f"{path}: expected what the code says now; write it anew: {_COMMAND}", file=sys.stderr)
    return 1


_COMMAND = "python -m models.data.sets --data FOLDER --markdown > models/data/cards/measured.md"


def _described() -> str:
    """All of the card that needs no data."""
    sections = [_INTRO, _table(_HEAD, _rows()), *(_section(each) for each in SETS.values())]
    return "\n\n".join(sections) + "\n"


def _counted(counts: Sequence[Sequence[str]]) -> str:
    intro = (
        "## Counts\n\nSamples as they load; *groups* are the recordings, drives "
        "or files that they come from, *classes* how many there are and the samples of the rarest and the most "
        "frequent. Of the ray-traced set, what its recipe `full` asks for: a sample is one UE at one snapshot, a group "
        "its track in one episode; its own card has what was built."
    )
    return intro + "\n\n" + _table(_COUNT_HEAD, counts)


def _rows() -> list[tuple[str, ...]]:
    measured = [
        (
            each.name, ", ".join(each.inputs), ", ".join(each.labels), ", ".join(each.parts), _USES[each.use],
            each.licence, each.figure,
        )
        for each in SETS.values()
    ]  # fmt: skip
    return [*measured, _RAYTRACED]


def _section(each: MeasuredSet) -> str:
    columns = {name: ("input", c) for name, c in each.inputs.items()}
    columns |= {name: ("label", c) for name, c in each.labels.items()}
    arrays = [
        (f"`{name}`", role, c.dtype, _shape(c), c.unit or "–", c.about + _named(c))
        for name, (role, c) in columns.items()
    ]
    apart = "No group is in two parts." if each.apart else "Groups are in several parts."
    lines = [f"- Folder `{each.folder}/`, from <{each.source}>.", f"- Protocol. {each.protocol} {apart}"]
    lines += [f"- {limit}" for limit in each.limits]
    return "\n\n".join(
        (
            f"## {each.name}",
            each.about,
            "\n".join(lines),
            _table(("array", "is", "type", "shape", "unit", "holds"), arrays),
        )
    )


def _shape(column: Column) -> str:
    return "[" + ", ".join(map(str, ("N", *column.shape))) + "]"


def _named(column: Column) -> str:
    return ": " + ", ".join(f"{i} {name}" for i, name in enumerate(column.classes)) if column.classes else ""


def _plain(counts: Sequence[Sequence[str]] | None) -> str:
    """The table for a terminal: a block for each set, for its cells are long."""
    blocks = []
    for name, *cells in _rows():
        held = [f"{part} {samples}" for of, part, samples, *_ in counts or () if of == name]
        rows = [*zip(_HEAD[1:], cells, strict=True), ("samples", ", ".join(held) or "not counted: no --data")]
        blocks.append("\n".join([name, *(f"  {title:<15} {text.replace('**', '')}" for title, text in rows)]))
    return "\n\n".join(blocks)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.data.sets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="has a folder for each measured set: count its samples"
    )
    parser.add_argument("--markdown", action="store_true", help="print the card instead")
    parser.add_argument("--check", action="store_true", help="print nothing; fail where the card has drifted")
    parser.add_argument("--card", type=Path, default=CARD, help="card to check (default %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
