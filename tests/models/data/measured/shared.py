"""Where the true measured data are, if they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CELLSENSE_SHARED_DATA") or Path(__file__).parents[5] / "shared" / "data")


def measured(folder: str) -> Path:
    """Folder of a true set; skips the calling test, with the reason, where it is not there."""
    root = SHARED / folder
    if not root.is_dir():
        pytest.skip(
            f"no measured data: {root} is not there; set CELLSENSE_SHARED_DATA to the folder that has {folder}/"
        )
    return root
