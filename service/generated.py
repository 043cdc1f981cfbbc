"""Files that are written from the code and kept with it: a command writes one, or fails where it has drifted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def write_or_check(
    command: str, about: str | None, file: Path, render: Callable[[], str], arguments: Sequence[str] | None
) -> int:
    """Write the file or, with `--check`, compare it; returns the exit status, 1 where it has drifted.

    Args:
        command: how the user calls it, e.g. `python -m service.api.openapi`.
        about: what `--help` says.
        file: written unless `--file` names another.
        render: its content as the code would have it now.
        arguments: of the command line; those of this process where None.
    """
    parser = argparse.ArgumentParser(prog=command, description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file has drifted")
    parser.add_argument("--file", type=Path, default=file, help="default: %(default)s")
    options = parser.parse_args(arguments)
    text = render()
    if not options.check:
        options.file.write_text(text)
    elif not options.file.exists() or options.file.read_text() != text:
        print(f"{options.file} has drifted from the code: run {command}", file=sys.stderr)
        return 1
    return 0
