"""Runs a command in a folder as if it were a container: root file system, processes and user of its own.

Needs root. Everything that is mounted for it is in a namespace of its own and goes with the command. The network is the
machine's, as with `docker run --network host`.
"""

from __future__ import annotations

import os
import re
import shlex
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PASSED_ON = re.compile(r"PIP_(INDEX_URL|EXTRA_INDEX_URL|DEFAULT_TIMEOUT)|(https?|no)_proxy", re.IGNORECASE)
HOST_FILES = "/mnt"  # where a step finds what the machine needs to reach the package registries


def run_in_root(
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    workdir: str = "/",
    user: str = "0:0",
    output: IO[bytes] | int = subprocess.DEVNULL,
    with_network: bool = False,
    read_only: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in `root`; ending the process that is returned ends all that the command started.

    Args:
        root: the root file system.
        command: looked up in the `PATH` of `environment`.
        environment: all that the command sees of one.
        workdir: in `root`.
        user: numeric, `user:group`.
        output: where its standard output and its standard errors go.
        with_network: bring the machine's name servers, certificates and proxies, as a builder does for its steps.
        read_only: nothing but a fresh `/tmp` can be written.
    """
    variables = {**_network_variables(), **environment} if with_network else environment
    # `env` comes from inside, and clears what chroot was started with.
    inside = ["env", "-i", "-C", workdir, *(f"{name}={value}" for name, value in variables.items()), *command]
    script = [
        "set -e",
        *_mounts(root),
        *(_network_mounts(root) if with_network else ()),
        *(_read_only(root) if read_only else ()),
        shlex.join(["exec", "chroot", f"--userspec={user}", str(root), *inside]),
    ]
    return subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(script)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def first_process(process: subprocess.Popen[bytes]) -> int:
    """The number, on this machine, of the command itself: what is process 1 in the root."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def _mounts(root: Path) -> list[str]:
    inside = shlex.quote(str(root))
    return [
        f"mount --bind {inside} {inside}",
        f"mount -t proc proc {inside}/proc",
        f"mount --rbind /dev {inside}/dev",
    ]


def _read_only(root: Path) -> list[str]:
    inside = shlex.quote(str(root))
    options = "mode=1777,size=64m,noexec,nosuid,nodev"  # but for the size those of `docker run --tmpfs /tmp`
    return [f"mount -o remount,bind,ro {inside}", f"mount -t tmpfs -o {options} tmpfs {inside}/tmp"]


def _network_mounts(root: Path) -> list[str]:
    inside = shlex.quote(str(root))
    mounts = [f"touch {inside}/etc/resolv.conf", f"mount --bind /etc/resolv.conf {inside}/etc/resolv.conf"]
    mounts += [f"mount -t tmpfs tmpfs {inside}{HOST_FILES}"]
    if (wheels := _local_wheels()) is not None:
        mounts += [
            f"mkdir {inside}{HOST_FILES}/wheels",
            f"mount --bind {shlex.quote(wheels)} {inside}{HOST_FILES}/wheels",
        ]
    if (certificates := _certificates()) is not None:
        mounts += [f"cp -L {shlex.quote(str(certificates))} {inside}{HOST_FILES}/certificates.pem"]
    return mounts


def _network_variables() -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    if _local_wheels() is not None:
        variables["PIP_FIND_LINKS"] = f"{HOST_FILES}/wheels"
    if _certificates() is not None:
        variables |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), f"{HOST_FILES}/certificates.pem")
    return variables


def _local_wheels() -> str | None:
    """The folder of wheels, if any, in which pip looks first on this machine."""
    folder = os.environ.get("PIP_FIND_LINKS", "")
    return folder if Path(folder).is_dir() and Path(folder).is_absolute() else None


def _certificates() -> Path | None:
    """The authorities that this machine trusts, one of its own network among them, perhaps."""
    path = ssl.get_default_verify_paths().cafile
    return None if path is None else Path(path)
