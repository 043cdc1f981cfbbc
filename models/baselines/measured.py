"""Every figure on measured data that we computed ourselves: `python -m models.baselines.measured --data FOLDER`.

Prints what kNN and ExtraTrees reach on each measured set, with protocol and seeds: mean ± standard deviation over the
seeds where something is random. They are what `models/data/cards/measured.md` quotes as *computed here*.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.baselines.measured_figures import FIGURES, Forests, Result
from models.data.measured.files import BadFile
from models.data.sets import SETS


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    try:
        results = compute(args.data, args.set or tuple(FIGURES), Forests())
        if args.json:
            print(json.dumps([_record(result) for result in results], ensure_ascii=False, indent=1))
        else:
            for result in results:
                print(_block(result), flush=True)  # a set takes up to minutes
    except (FileNotFoundError, BadFile) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def compute(data: Path, names: Sequence[str], forests: Forests) -> Iterator[Result]:
    """The results of the named sets, whose folders are below `data`, one after the other.

    Raises:
        FileNotFoundError: there is no such folder, which is said before anything is computed, or it lacks a file.
        BadFile: a file is not what it should be.
    """
    if missing := sorted({SETS[name].folder for name in names if not (data / SETS[name].folder).is_dir()}):
        raise FileNotFoundError(
            f"{data}: expected the folders {', '.join(missing)}, found none of that name; name another folder, or only "
            f"the sets that are there by --set"
        )
    for name in names:
        yield from FIGURES[name](data / SETS[name].folder, forests)


def quoted(result: Result, name: str) -> str:
    """A figure as it is written in the card."""
    mean, std = result.mean(name), result.std(name)
    return f"{mean:.{result.digits}f}" + ("" if std is None else f" ± {std:.{result.digits}f}")


def _block(result: Result) -> str:
    seeds = ", ".join(map(str, result.seeds)) or "none, nothing is random"
    width = max(map(len, result.values))
    lines = [f"{result.set}: {result.method}", f"  protocol: {result.protocol}", f"  seeds: {seeds}"]
    lines += [f"  {result.measure}, {name:<{width}}  {quoted(result, name)}" for name in result.values]
    return "\n".join(lines) + "\n"


def _record(result: Result) -> dict[str, object]:
    figures = {
        name: {"mean": result.mean(name), "std": result.std(name), "values": list(values)}
        for name, values in result.values.items()
    }
    return {
        "set": result.set, "method": result.method, "protocol": result.protocol, "measure": result.measure,
        "seeds": list(result.seeds), "figures": figures,
    }  # fmt: skip


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.baselines.measured",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="has a folder for each measured set")
    parser.add_argument(
        "--set", nargs="+", choices=FIGURES, metavar="NAME", help=f"only of these (default all: {', '.join(FIGURES)})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the value of each seed")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
