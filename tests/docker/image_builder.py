"""Executes the steps of a Dockerfile in a folder, where no container engine is at hand.

Each stage becomes a folder with a whole root file system: a copy of the stage before it, or of the base image, in which
the steps are run by chroot as a builder would run them. It knows the instructions that our Dockerfiles use and refuses
any other. What it cannot show is what only an engine does: layers, and the cache.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tests.docker.chroot import run_in_root
from tests.docker.ignored import Ignored
from tests.docker.recipe import Stage, Step, substitute

KNOWN = {"CMD", "COPY", "ENTRYPOINT", "ENV", "HEALTHCHECK", "RUN", "USER", "WORKDIR"}
NOTHING_TO_DO = {"EXPOSE", "STOPSIGNAL", "VOLUME"}  # they tell an engine something, and build nothing


@dataclass(frozen=True)
class Image:
    """A root file system, and how a container of it is started."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health_check: tuple[str, ...] = ()

    @property
    def start(self) -> tuple[str, ...]:
        """The command line of a container that is started without arguments."""
        return self.entrypoint + self.command

    @property
    def size_mb(self) -> float:
        """What the files of the root take, in megabytes."""
        counted = subprocess.run(["du", "-sx", "--block-size=1000", self.root], capture_output=True, check=True)
        return int(counted.stdout.split()[0]) / 1000


class ImageBuilder:
    """Builds stages, each once."""

    def __init__(
        self, stages: Mapping[str, Stage], context: Path, folder: Path, base: Callable[[str], Path], log: Path
    ) -> None:
        """Prepare the context; nothing is built before it is asked for.

        Args:
            stages: of the Dockerfile (`tests.docker.recipe`).
            context: the folder that the builder would be sent, with its `.dockerignore`.
            folder: where roots are made.
            base: the root of an image from elsewhere, by its name.
            log: what the steps print is appended to it.
        """
        self._stages, self._folder, self._base, self._log = stages, folder, base, log
        self._built: dict[str, Image] = {}
        self._context = folder / "context"
        send_context(context, self._context)

    def build(self, name: str) -> Image:
        """The image of a stage. Raises `AssertionError` where a step fails, with what it printed."""
        if name not in self._built:
            self._built[name] = self._stage(self._stages[name])
        return self._built[name]

    def _stage(self, stage: Stage) -> Image:
        parent = self.build(stage.base) if stage.base in self._stages else Image(self._base(stage.base))
        root = self._folder / stage.name
        subprocess.run(["cp", "--archive", "--reflink=auto", parent.root, root], check=True)
        image, arguments = replace(parent, root=root), dict[str, str]()
        for step in stage.steps:
            if step.name == "ARG":
                name, _, default = step.values[0].partition("=")
                arguments[name] = default
            elif step.name not in NOTHING_TO_DO:
                assert step.name in KNOWN, f"line {step.line}: this reader does not know {step.name}"
                image = getattr(self, f"_{step.name.lower()}")(image, step, {**arguments, **image.environment})
        return image

    def _copy(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        assert set(step.flags) <= {"from"}, f"line {step.line}: this reader knows of COPY only --from"
        origin = self.build(step.flags["from"]).root if "from" in step.flags else self._context
        *sources, target = step.values
        into = image.root / str(PurePosixPath(image.workdir) / target).lstrip("/")
        is_folder = target.endswith("/") or len(sources) > 1
        for source in sources:
            path = origin / source.lstrip("/")
            assert path.exists(), f"line {step.line}: {source} is not in the context, or .dockerignore keeps it out"
            place = into / path.name if is_folder and path.is_file() else into
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(path, place)
        return image

    def _run(self, image: Image, step: Step, variables: Mapping[str, str]) -> Image:
        command = step.values if step.is_json else ("/bin/sh", "-c", step.values[0])
        with self._log.open("ab") as log:
            log.write(f"--- line {step.line}: {' '.join(step.values)}\n".encode())
            log.flush()
            process = run_in_root(
                image.root, command, variables, image.workdir, image.user, output=log, with_network=True
            )
            status = process.wait()
        assert status == 0, f"line {step.line} ended with {status}:\n{self._log.read_text()[-4000:]}"
        return image

    def _env(self, image: Image, step: Step, variables: Mapping[str, str]) -> Image:
        pairs = zip(step.values[::2], step.values[1::2], strict=True)
        new = {name: substitute(value, variables) for name, value in pairs}
        return replace(image, environment={**image.environment, **new})

    def _workdir(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        workdir = str(PurePosixPath(image.workdir) / step.values[0])
        (image.root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return replace(image, workdir=workdir)

    def _user(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        return replace(image, user=step.values[0])

    def _entrypoint(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        assert step.is_json, f"line {step.line}: a shell in between would swallow the signals"
        return replace(image, entrypoint=step.values, command=())

    def _cmd(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        assert step.is_json, f"line {step.line}: a shell in between would swallow the signals"
        return replace(image, command=step.values)

    def _healthcheck(self, image: Image, step: Step, _: Mapping[str, str]) -> Image:
        kind, *command = step.values
        assert kind == "NONE" or step.is_json, f"line {step.line}: expected NONE or a list"
        return replace(image, health_check=tuple(command))


def send_context(folder: Path, target: Path) -> None:
    """Copy what a builder is sent of a folder: all but what its `.dockerignore` keeps out."""
    ignored = Ignored((folder / ".dockerignore").read_text())
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in ignored:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name)
