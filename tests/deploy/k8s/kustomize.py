"""Builds overlays with kustomize, by itself or as a part of kubectl, whichever is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

NEEDED = 4  # major version: the first that knows components, patches and labels
MISSING = f"needs kustomize {NEEDED} or newer, by itself or in a kubectl; found none"


def build(folder: Path) -> list[dict[str, Any]]:
    """The resources of an overlay. Skips the test where nothing can build them."""
    command = _command()
    if command is None:
        pytest.skip(MISSING)
    built = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def _command() -> list[str] | None:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        said = subprocess.run(["kubectl", "version", "--client", "--output", "json"], capture_output=True, text=True)
        version = json.loads(said.stdout or "{}").get("kustomizeVersion", "v0")  # an old kubectl does not tell
        if int(version.lstrip("v").partition(".")[0]) >= NEEDED:
            return ["kubectl", "kustomize"]
    return None
