"""An environment of its own for each peer, made on first use and found again: none sees the versions of another."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("peers")
_RUNTIMES = {"cpu": "onnxruntime=={version}", "cuda": "onnxruntime-gpu[cuda,cudnn]=={version}"}


def python_for(requirements: str, provider: str | None, folder: Path) -> Path:
    """The interpreter that has what the file names, and ONNX Runtime in the version that we run ourselves.

    Args:
        requirements: name of a file in `peers/`, without its ending; empty for the environment that runs now.
        provider: what ONNX Runtime shall run on, None for an environment without it.
        folder: where environments are kept.

    Raises:
        RuntimeError: pip could not install it.
    """
    if not requirements:
        return Path(sys.executable)
    pins = PINS / f"{requirements}.txt"
    runtime = _RUNTIMES[provider].format(version=runtime_version()) if provider else ""
    digest = hashlib.sha256(pins.read_bytes() + runtime.encode() + sys.version.encode()).hexdigest()[:12]
    home = folder / f"{requirements}-{digest}"
    python, complete = home / "bin" / "python", home / "complete"
    if not complete.exists():
        print(f"installing {requirements} into {home} (once)", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*pip, "--no-deps", "--requirement", str(pins)])  # the file has all, and a peer may ask for an older NumPy
        if runtime:
            _run([*pip, runtime])
        complete.touch()
    return python


def runtime_version() -> str:
    """Version of ONNX Runtime here, by whichever package."""
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise RuntimeError("ONNX Runtime is not installed: install onnxruntime, or onnxruntime-gpu for --cuda")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1500:]}")
