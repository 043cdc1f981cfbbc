"""The command line: `cellsense serve | replay | demo`. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import ArtifactError
from service.metrics import package_version
from service.settings import Settings

FAILED, BAD_CONFIGURATION = 1, 2  # exit statuses
_EXTRAS = "cellsense[cpu] or cellsense[gpu] to serve, cellsense[demo] to replay and to run the demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status is 0 only where all went well."""
    options = vars(_parser().parse_args(arguments))
    run: Callable[..., int] = options.pop("run")
    try:
        return run(**options)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            _say(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
    except ModuleNotFoundError as error:
        _say(f"{error.name} is not installed: install {_EXTRAS}")
    except (ArtifactError, ValueError) as error:
        _say(str(error))
    return BAD_CONFIGURATION


def serve(**settings: Any) -> int:
    """Run the gateway until SIGTERM or SIGINT; requests in flight are finished."""
    import uvicorn

    from service.api.app import create_app
    from service.engine.discovery import load_artifacts
    from service.engine.onnx_engine import OnnxEngine

    chosen = Settings(**settings)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(message)s")
    threads, sessions = chosen.intra_op_threads, chosen.sessions
    load = partial(OnnxEngine.load, provider=chosen.provider, intra_op_threads=threads, sessions=sessions)
    engines = load_artifacts(chosen.models, load)

    fatal: list[bool] = []

    def give_up() -> None:
        fatal.append(True)
        server.should_exit = True

    app = create_app(chosen, engines, on_fatal=give_up)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=chosen.host,
            port=chosen.port,
            timeout_graceful_shutdown=chosen.drain_s,
            server_header=False,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server handles the signal, ends in order, and then raises it again: by then there is nothing left to end.
        signal.signal(number, lambda *_: None)
    server.run()
    return FAILED if fatal else 0


def replay(file: Path, url: str, out: Path | None, as_json: bool, every_row: bool) -> int:
    """Replay a recording against a running gateway."""
    from service.demo.replay import run_replay

    return run_replay(file, url, out, as_json, every_row)


def demo(out: Path, as_json: bool, every_row: bool, **settings: Any) -> int:
    """Start a gateway, replay the sample of every artifact through it, show how well it did, stop it."""
    from service.demo.demo import run_demo

    return run_demo(Settings(**settings).models, out, as_json, every_row)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cellsense", description="The sensing brain of a base station.")
    parser.add_argument("--version", action="version", version=f"cellsense {package_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="run the gateway", description=serve.__doc__)
    command.set_defaults(run=serve)
    for name in Settings.model_fields:
        _add_setting(command, name)

    command = commands.add_parser("replay", help="replay a recording", description=replay.__doc__)
    command.set_defaults(run=replay)
    command.add_argument("file", type=Path, metavar="FILE", help="recording, *.jsonl.gz")
    command.add_argument("--url", default="http://127.0.0.1:8000", help="of the gateway (default: %(default)s)")
    command.add_argument("--out", type=Path, metavar="DIR", help="folder for error-map.png and outcomes.json")
    _add_output_flags(command)

    command = commands.add_parser("demo", help="see it work", description=demo.__doc__)
    command.set_defaults(run=demo)
    _add_setting(command, "models")
    command.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("demo-out"), help="folder for the map (default: %(default)s)"
    )
    _add_output_flags(command)
    return parser


def _add_setting(command: argparse.ArgumentParser, name: str) -> None:
    """A flag that, where it is given, has precedence over the variable."""
    field = Settings.model_fields[name]
    variable = f"{Settings.model_config['env_prefix']}{name.upper()}"
    default = "" if field.default is None else f" (default: {field.default})"
    help_text = f"{field.description} [{variable}]{default}".replace("%", "%%")
    flag = f"--{name.replace('_', '-')}"
    command.add_argument(flag, dest=name, metavar="X", default=argparse.SUPPRESS, help=help_text)


def _add_output_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for machines")
    command.add_argument("--all", dest="every_row", action="store_true", help="print every frame, not a selection")


def _say(message: str) -> None:
    print(f"cellsense: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
