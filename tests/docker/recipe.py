"""A Dockerfile as data: its stages in order, read by the parser that the builder itself uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dockerfile

VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True)
class Step:
    """One instruction, e.g. `COPY --from=build /a /b`."""

    name: str  # in capitals
    flags: dict[str, str]  # --from=build -> {"from": "build"}
    values: tuple[str, ...]
    is_json: bool  # written as ["a", "b"], so that no shell reads it
    line: int


@dataclass(frozen=True)
class Stage:
    """What `FROM base AS name` begins."""

    name: str
    base: str  # another stage, or an image
    steps: list[Step] = field(default_factory=list)


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile, by name; one without a name is called after its number."""
    stages: dict[str, Stage] = {}
    for command in dockerfile.parse_file(str(path)):
        if command.cmd.upper() == "FROM":
            base, *alias = command.value
            name = alias[1] if alias else str(len(stages))
            stages[name] = stage = Stage(name, base)
            continue
        flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in command.flags)
        stage.steps.append(Step(command.cmd.upper(), flags, tuple(command.value), command.json, command.start_line))
    return stages


def base_images(stages: Mapping[str, Stage]) -> set[str]:
    """The images from elsewhere that the stages begin with or copy from."""
    copied = {step.flags["from"] for stage in stages.values() for step in stage.steps if "from" in step.flags}
    return ({stage.base for stage in stages.values()} | copied) - set(stages)


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """The text with `${NAME}` and `$NAME` replaced; raises `KeyError` where one is not set."""
    return VARIABLE.sub(lambda match: variables[match[1] or match[2]], text)
