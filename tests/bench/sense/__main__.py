"""`/v1/sense` beside the two graphs that answer it, alone in ONNX Runtime: what the whole pipeline leaves of them.

    python -m tests.bench.sense --rounds 3 --seconds 5        # on a machine that does nothing else
    python -m tests.bench.sense --quick                       # whether it works

Requests are made from the recording that the artifact ships, in MessagePack and in JSON: no two are alike (`template`),
every answer is looked at, and a request of which a frame was not answered counts as an error. *Raw* runs both graphs on
the tensors that those frames become, each at the best of the settings tried (`raw_graphs`); it neither reads requests
nor normalises nor keeps trajectories. Load comes from wrk. The tables go to the output, all figures to `sense.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from service.settings import Settings
from tests.bench.sense.rounds import run
from tests.bench.sense.table import table
from tests.bench.serving import wrk
from tests.bench.serving.machine import describe, warning

_OUT = Path(__file__).resolve().parents[3] / ".bench" / "out"
_QUICK = {"rounds": 1, "seconds": 1, "warm": 1}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 only where no frame failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sense", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Settings.model_fields["models"].default)
    parser.add_argument("--artifacts", nargs="+", default=["gated-fusion", "scadf-moe"])
    parser.add_argument("--arguments", default="", help="of `cellsense serve`: --arguments='--workers 2'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--warm", type=int, default=1, help="seconds of the load before each that does not count")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it works")
    parser.add_argument("--json", type=Path, default=_OUT / "sense.json", help="file of the figures")
    args = parser.parse_args(argv)
    if args.quick:
        vars(args).update(_QUICK)
    machine = describe([], None)
    try:
        wrk.require()
        found = [
            run(args.models / name, args.arguments.split(), args.rounds, args.seconds, args.warm)
            for name in args.artifacts
        ]
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    args.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "arguments": vars(args), "results": [asdict(one) for one in found]}
    args.json.write_text(json.dumps(content, indent=1, default=str) + "\n")
    print("\n\n".join(table(one) for one in found))
    print(
        f"\n{machine['cores']} cores of {machine['cpu']}; medians of {args.rounds} round{'s' * (args.rounds > 1)} of "
        f"{args.seconds} s; {machine['date']}; {args.json}"
    )
    print(warning(machine), end="")
    return 1 if any(one.errors for results in found for one in results.measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
