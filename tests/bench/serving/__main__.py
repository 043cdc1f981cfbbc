"""Serving, side by side: ONNX Runtime alone, our gateway, and the servers that one would pick instead.

    python -m tests.bench.serving --search --rounds 3 --seconds 8    # the table, on a machine that does nothing else
    python -m tests.bench.serving --settings-from results.json       # the same with the settings that were found then
    python -m tests.bench.serving --quick                            # whether all of it works, in a few minutes
    python -m tests.bench.serving --cuda --search                    # on a machine with a GPU and onnxruntime-gpu

One model, the same frames; answers are checked before anything is timed. Load comes from wrk (apt-get install wrk), for
gRPC from h2load (apt-get install nghttp2-client) and needs tritonclient[grpc]. Each peer has an environment of its own
in `.bench/`, made on first use from `peers/*.txt` and ONNX Runtime in our version. The table goes to the output, all
figures to `results.json` and a picture to `results.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from service.engine.cores import usable_cores
from tests.bench.serving import bench_model, ours, picture, wrk
from tests.bench.serving.artifact import write_artifact
from tests.bench.serving.flops import flops
from tests.bench.serving.frames import draw
from tests.bench.serving.machine import describe, warning
from tests.bench.serving.measurements import cells
from tests.bench.serving.peers import PEERS
from tests.bench.serving.rounds import Results, run
from tests.bench.serving.search import read_settings
from tests.bench.serving.server import Server
from tests.bench.serving.summary import Summary, summarise, summarise_raw
from tests.bench.serving.table import table
from tests.bench.serving.turn import prepare

_HOME = Path(__file__).resolve().parents[3] / ".bench"
_CUDA_INSTANCES = 2  # one computes while the other copies
_QUICK = {"rounds": 1, "seconds": 1, "warm": 1, "clients": [1, 32]}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 only where every server was measured and no request failed."""
    args = _arguments(argv)
    servers = _servers(args)
    provider, instances = ("cuda", _CUDA_INSTANCES) if args.cuda else ("cpu", usable_cores())
    machine = describe(servers, args.date)
    try:
        wrk.require()
        artifacts = {name: write_artifact(_HOME / "models" / name, size) for name, size in bench_model.SIZES.items()}
        bench = prepare(artifacts, provider, instances, args.seconds, args.warm, _HOME / "environments")
        known = read_settings(args.settings_from, servers) if args.settings_from else {}
        results = run(bench, servers, cells(args.clients), args.rounds, args.search, known)
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    found = summarise(results)
    _report(args, machine, servers, results, found)
    return 1 if results.failures or any(one.errors for one in found) else 0


def _report(
    args: argparse.Namespace,
    machine: dict[str, Any],
    servers: Sequence[Server],
    results: Results,
    found: Sequence[Summary],
) -> None:
    raw, frame_bytes = summarise_raw(results), sum(array.nbytes for array in draw(1).values())
    mflop = {name: round(flops(bench_model.build(size)) / 1e6, 2) for name, size in bench_model.SIZES.items()}
    file = args.json or args.out / "results.json"
    for folder in (args.out, file.parent):
        folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine,
        "mflop_a_frame": mflop,
        "arguments": {name: value for name, value in vars(args).items() if name not in ("out", "json")},
        "raw": raw,
        "summary": found,
        "results": results,
    }
    file.write_text(json.dumps(content, indent=1, default=_plain) + "\n")
    runtime = machine["versions"]["onnxruntime"]
    note = (
        f"{machine['cores']} cores of {machine['cpu']}{', ' + machine['gpu'] if args.cuda else ''}; "
        f"{mflop['bench']:.0f} MFLOP and {frame_bytes:,} bytes a frame; ONNX Runtime {runtime}; "
        f"medians of {args.rounds} round{'s' * (args.rounds > 1)} of {args.seconds} s; {machine['date']}"
    )
    print(table(servers, raw, found, results.failures))
    print(f"\n{note}; tiny: {mflop['tiny']:.1f} MFLOP a frame")
    print(warning(machine), end="")
    if found:
        picture.draw(args.out / "results.png", servers, raw, found, note)
        print(f"{args.out / 'results.png'}, {file}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--warm", type=int, default=1, help="seconds of the load before each that does not count")
    parser.add_argument("--clients", type=_numbers, default=[1, 8, 32, 128], help="numbers, with commas between them")
    parser.add_argument("--ours", type=_names, default=list(ours.NAMES), help="ways to ask us, or nothing")
    parser.add_argument("--ours-arguments", default="", help="of `cellsense serve`: --ours-arguments='--workers 2'")
    parser.add_argument("--peers", type=_names, default=list(PEERS), help="names, with commas between them, or nothing")
    parser.add_argument("--search", action="store_true", help="try all settings of each peer first, and take the best")
    parser.add_argument("--settings-from", type=Path, help="results.json of a search: its settings are not tried again")
    parser.add_argument("--cuda", action="store_true", help="run the models on a GPU")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it works")
    parser.add_argument("--out", type=Path, default=_HOME / "out", help="folder of the picture and the figures")
    parser.add_argument("--json", type=Path, help="file of the figures, if elsewhere")
    parser.add_argument("--date", help="of the figures; today by default")
    args = parser.parse_args(argv)
    for what, known in (("ours", ours.NAMES), ("peers", PEERS)):
        if unknown := set(getattr(args, what)) - set(known):
            parser.error(f"--{what}: expected some of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    if args.quick:
        vars(args).update(_QUICK)
    return args


def _servers(args: argparse.Namespace) -> list[Server]:
    by_name = {server.name: server for server in ours.servers(args.ours_arguments)}
    return [*(by_name[name] for name in args.ours), *(PEERS[name] for name in args.peers)]


def _plain(value: object) -> object:
    """What JSON has no words for."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _numbers(text: str) -> list[int]:
    return sorted({int(number) for number in text.split(",")})


if __name__ == "__main__":
    sys.exit(main())
