"""The root of the image `debian:<release>-slim`, made as Debian makes it: debootstrap, less what slim leaves out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SUITES = {"12": "bookworm", "13": "trixie"}
LEFT_OUT = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/groff")
APT_KEEPS_NOTHING = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
LEFT_OUT_LATER = "".join(f"path-exclude /{folder}/*\n" for folder in LEFT_OUT)


def need_chroot() -> None:
    """Skip the test where images cannot be built by chroot."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it runs the steps of a Dockerfile by chroot")
    if missing := [tool for tool in ("debootstrap", "unshare", "chroot") if shutil.which(tool) is None]:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install debootstrap util-linux")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs the right to make namespaces: root of an unprivileged container lacks it")


def make_debian_root(image: str, folder: Path) -> Path:
    """Make the root of an image such as `debian:12.15-slim` in `folder`."""
    match = re.fullmatch(r"debian:(\d+)\.\d+-slim", image)
    assert match, f"expected debian:<release>-slim, got {image}: this machine can make no other base"
    command = ["debootstrap", "--variant=minbase", SUITES[match[1]], str(folder)]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert made.returncode == 0, made.stdout[-2000:]
    for left_out in (*LEFT_OUT, "var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(folder / left_out, ignore_errors=True)
    (folder / "var/cache/apt/archives/partial").mkdir(parents=True)
    (folder / "var/lib/apt/lists").mkdir(parents=True)
    (folder / "etc/dpkg/dpkg.cfg.d/docker").write_text(LEFT_OUT_LATER)
    (folder / "etc/apt/apt.conf.d/docker-clean").write_text(APT_KEEPS_NOTHING)
    return folder
