"""The command line: `cellsense serve | health | replay | stream | demo`. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import ArtifactError
from service.settings import Settings
from service.version import package_version

FAILED, BAD_CONFIGURATION = 1, 2  # exit statuses
_EXTRAS = (
    "cellsense[cpu] or cellsense[gpu] to serve, cellsense[otel] for traces, "
    "cellsense[demo] to replay, stream and run the demo"
)


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
    chosen = Settings(**settings)
    if chosen.workers == 1:
        from service.serving.process import run_process

        return run_process(chosen)
    from service.serving.workers import run_workers  # without ONNX Runtime, which only the engine's process loads

    run_workers(chosen)


def replay(file: Path, url: str, out: Path | None, as_json: bool, every_row: bool) -> int:
    """Replay a recording against a running gateway."""
    from service.demo.replay import run_replay

    return run_replay(file, url, out, as_json, every_row)


def health(**settings: Any) -> int:
    """Say whether the gateway on this machine is ready."""
    from service.api.health import readiness

    chosen = Settings(**settings)
    ready, sentence = readiness(chosen.host, chosen.port)
    print(sentence, file=sys.stdout if ready else sys.stderr)
    return 0 if ready else FAILED


def stream(files: list[Path], url: str, **settings: Any) -> int:
    """Replay recordings in real time, over and over, until a Ctrl-C; by default what the artifacts ship."""
    from service.demo.recording import shipped_samples
    from service.demo.stream import run_stream

    return run_stream(files or shipped_samples(Settings(**settings).models), url)


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

    command = commands.add_parser("health", help="say whether the gateway is ready", description=health.__doc__)
    command.set_defaults(run=health)
    _add_setting(command, "host")
    _add_setting(command, "port")

    command = commands.add_parser("replay", help="replay a recording", description=replay.__doc__)
    command.set_defaults(run=replay)
    command.add_argument("file", type=Path, metavar="FILE", help="recording, *.jsonl.gz")
    _add_url(command)
    command.add_argument("--out", type=Path, metavar="DIR", help="folder for error-map.png and outcomes.json")
    _add_output_flags(command)

    command = commands.add_parser("stream", help="replay without an end", description=stream.__doc__)
    command.set_defaults(run=stream)
    command.add_argument("files", type=Path, nargs="*", metavar="FILE", help="recording, *.jsonl.gz")
    _add_url(command)
    _add_setting(command, "models")

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
    value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    default = "" if value is None else f" (default: {value})"
    help_text = f"{field.description} [{variable}]{default}".replace("%", "%%")
    flag = f"--{name.replace('_', '-')}"
    command.add_argument(flag, dest=name, metavar="X", default=argparse.SUPPRESS, help=help_text)


def _add_url(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default="http://127.0.0.1:8000", help="of the gateway (default: %(default)s)")


def _add_output_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for machines")
    command.add_argument("--all", dest="every_row", action="store_true", help="print every frame, not a selection")


def _say(message: str) -> None:
    print(f"cellsense: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
