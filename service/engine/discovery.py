"""Which artifact serves which site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from service.engine.protocol import Engine
from service.errors import ArtifactError


def load_artifacts(models_dir: Path, load: Callable[[Path], Engine]) -> dict[str, Engine]:
    """Load every artifact in a folder; answer with the engine of each site.

    Args:
        models_dir: an artifact is a folder in it that has a `manifest.json`.
        load: opens an artifact, such as `OnnxEngine.load` with its options.

    Returns:
        An engine by the name of the site; an artifact may serve several.

    Raises:
        ArtifactError: there is no artifact, one of them does not fit, or two claim the same site.
    """
    folders = sorted(path.parent for path in models_dir.glob("*/manifest.json"))
    if not folders:
        raise ArtifactError(
            f"{models_dir}: expected a folder of artifacts (<artifact>/manifest.json), found none: "
            "name another folder with --models"
        )
    engines: dict[str, Engine] = {}
    for folder in folders:
        engine = load(folder)
        for site in engine.manifest.sites:
            if other := engines.get(site.name):
                raise ArtifactError(
                    f"{models_dir}: expected one artifact per site, but {other.name} and {engine.name} both serve "
                    f"{site.name}: remove one of them"
                )
            engines[site.name] = engine
    return engines
