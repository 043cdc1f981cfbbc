"""Which artifact serves which site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.engine.protocol import Engine
from service.errors import ArtifactError


@dataclass(frozen=True)
class Artifacts:
    """What a folder holds.

    Attributes:
        by_site: the engine of each site; an artifact may serve several.
        others: engines that no site goes to.
    """

    by_site: dict[str, Engine]
    others: list[Engine]


def load_artifacts(models_dir: Path, load: Callable[[Path], Engine], prefer: Sequence[str] = ()) -> Artifacts:
    """Load every artifact in a folder.

    Args:
        models_dir: an artifact is a folder in it that has a `manifest.json`.
        load: opens an artifact, such as `OnnxEngine.load` with its options.
        prefer: names of artifacts; a site that several claim goes to the first of them.

    Raises:
        ArtifactError: there is no artifact, one of them does not fit, two have the same name, or several claim a site
            and none of them is preferred.
    """
    folders = sorted(path.parent for path in models_dir.glob("*/manifest.json"))
    if not folders:
        raise ArtifactError(
            f"{models_dir}: expected a folder of artifacts (<artifact>/manifest.json), found none: "
            "name another folder with --models"
        )
    claims: dict[str, list[Engine]] = {}
    found: dict[str, Engine] = {}
    for folder in folders:
        engine = load(folder)
        if engine.name in found:
            raise ArtifactError(
                f"{folder}: expected artifacts of different names, got a second one named {engine.name}"
            )
        found[engine.name] = engine
        for site in engine.manifest.sites:
            claims.setdefault(site.name, []).append(engine)
    engines = {}
    for site_name, claimants in claims.items():
        ranked = sorted((prefer.index(e.name), n) for n, e in enumerate(claimants) if e.name in prefer)
        if len(claimants) > 1 and not ranked:
            raise ArtifactError(
                f"{models_dir}: expected one artifact per site, but {' and '.join(e.name for e in claimants)} serve "
                f"{site_name}: remove one of them, or say which is preferred (CELLSENSE_PREFER)"
            )
        engines[site_name] = claimants[ranked[0][1] if ranked else 0]
    used = {engine.name for engine in engines.values()}
    return Artifacts(engines, [engine for name, engine in found.items() if name not in used])
