"""Write the boards: `python -m deploy.grafana.generate`; with `--check`, fail where a file would change."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.fleet import fleet
from deploy.grafana.sensing import sensing
from deploy.grafana.service import service

FOLDER = Path(__file__).resolve().parent / "dashboards"


def boards() -> dict[str, str]:
    """The JSON of every board, by the name of its file."""
    encoder = JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False)
    made = {"service": service(), "sensing": sensing(), "fleet": fleet()}
    return {f"{name}.json": encoder.encode(board) + "\n" for name, board in made.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    check: bool = parser.parse_args(arguments).check
    made = boards()
    stale = [name for name, text in made.items() if not _holds(FOLDER / name, text)]
    if check and stale:
        sys.exit(f"{', '.join(stale)}: not what its source makes: run python -m deploy.grafana.generate")
    for name in stale:
        (FOLDER / name).write_text(made[name])


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


if __name__ == "__main__":
    main()
