"""What a `.dockerignore` keeps out: the last pattern counts that matches a path, or a folder above it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

PARTS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Ignored:
    """The patterns of a `.dockerignore`."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        self._patterns = [(not line.startswith("!"), _pattern(line.lstrip("!").strip("/"))) for line in lines]

    def __contains__(self, path: str) -> bool:
        """Whether a file is kept out; its path counts from the folder of the `.dockerignore`."""
        names = [path, *(str(parent) for parent in PurePosixPath(path).parents)]
        verdicts = [out for out, pattern in self._patterns if any(pattern.fullmatch(name) for name in names)]
        return bool(verdicts) and verdicts[-1]


def _pattern(line: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", line)
    return re.compile("".join(PARTS.get(part, re.escape(part)) for part in parts))
