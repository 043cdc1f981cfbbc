"""What several gateway processes hold beside one: `python -m tests.bench.memory`.

Starts `cellsense serve` with one process and then with several on the same artifacts, asks each for some time, and
looks at every process of it while it still answers. A page that processes share counts for each in RSS, and once in the
sum of PSS, which is what the machine has less of; *own* is the part of PSS that no file backs: the rest, libraries
above all, is shared with whatever else has them open. The goal is a sum of less than 1.2 times that of one process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path

from service.settings import Settings
from tests.bench import gateway
from tests.bench.sense import frame_load
from tests.bench.sense.cases import Case
from tests.bench.sense.material import Material
from tests.bench.sense.template import MESSAGEPACK, template
from tests.bench.serving.process_tree import Memory, together

GOAL = 1.2
_CASES = (Case(1, 1, 32), Case(16, 2, 4))  # small requests, and such as make the largest runs
_TITLE = 60  # characters


def measure(artifacts: Sequence[Path], arguments: Sequence[str], seconds: float) -> dict[str, Memory]:
    """Memory of each process under load. Raises as `gateway.serving` and `frame_load.run` do."""
    material = Material.of(artifacts[0])
    looked: dict[str, Memory] = {}
    with gateway.serving(artifacts, arguments) as served, tempfile.TemporaryDirectory() as scratch:
        look = threading.Timer((len(_CASES) - 0.2) * seconds, lambda: looked.update(served.tree.memory_of_each()))
        look.start()
        for case in _CASES:
            made = template(MESSAGEPACK, case, material)
            load = frame_load.run(served.port, made, case.clients, seconds, Path(scratch))
            if load.errors or not load.requests:
                raise OSError(
                    f"{case}: {load.requests} requests were answered in full, {load.errors} failed: {load.reason}"
                )
        look.join()
    return looked


def table(one: Mapping[str, Memory], several: Mapping[str, Memory], arguments: str) -> str:
    """Markdown: every process, the sums, and their ratio."""
    lines = ["| process | RSS, MiB | PSS, MiB | own, MiB |", "| --- | --- | --- | --- |"]
    for title, of_each in (("one process", one), (arguments, several)):
        lines += [_line(name[:_TITLE], astuple(memory), ",.0f") for name, memory in of_each.items()]
        lines.append(_line(f"**{title}, all**", astuple(together(of_each)), ",.0f"))
    return "\n".join([*lines, _line(f"of one process (goal: < {GOAL})", astuple(ratios(one, several)), ".2f")])


def ratios(one: Mapping[str, Memory], several: Mapping[str, Memory]) -> Memory:
    """Of the sums: what several hold for each MiB of one."""
    return Memory(*(b / a for a, b in zip(astuple(together(one)), astuple(together(several)), strict=True)))


def _line(name: str, values: Sequence[float], shown: str) -> str:
    return f"| {name} | {' | '.join(format(value, shown) for value in values)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 wherever there are figures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Settings.model_fields["models"].default)
    parser.add_argument("--artifacts", nargs="+", default=["gated-fusion", "scadf-moe"], help="the first is asked")
    parser.add_argument("--arguments", default="--workers 2", help="of the several processes (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--json", type=Path, help="file of the figures")
    args = parser.parse_args(argv)
    artifacts = [args.models / name for name in args.artifacts]
    try:
        one, several = (measure(artifacts, told.split(), args.seconds) for told in ("", args.arguments))
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(one, several, args.arguments))
    if args.json:
        figures = {"one": _plain(one), "several": _plain(several), "ratios": asdict(ratios(one, several))}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"arguments": vars(args), **figures}, indent=1, default=str) + "\n")
    return 0


def _plain(of_each: Mapping[str, Memory]) -> dict[str, dict[str, float]]:
    return {name: asdict(memory) for name, memory in of_each.items()}


if __name__ == "__main__":
    sys.exit(main())
