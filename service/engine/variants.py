"""Variants of an artifact: the same model in fewer bits, in a folder of its own inside the artifact's.

A variant has a whole manifest, with a calibration and figures of its own, measured on the splits that the artifact's
were measured on. What it lost is the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.contract.manifest import Manifest
from service.errors import ArtifactError

FULL = "fp32"
_EVERYTHING = "all/all"  # the cell of a split that has one for each layout and band
_EXAMPLE = "sample"  # figures of the few frames of the demo are no measurement
_ERRORS = ("position_mean_m", "position_median_m", "position_p95_m")
_RATES = ("accuracy", "recall", "auroc", "f1")  # ends of their names

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Loss:
    """What a variant lost.

    Attributes:
        share: growth of an error, as a share of it, or drop of a rate; negative where it gained.
        figure: which, and of which split.
    """

    share: float
    figure: str


def find_variant(folder: Path, precision: str, most_loss: float) -> Path:
    """The folder to serve an artifact from: its variant of a precision, or itself where it has none.

    Args:
        folder: of the artifact.
        precision: as the manifest of the variant says, and as its folder is called.
        most_loss: of any figure that both manifests have; see `Loss`.

    Raises:
        ArtifactError: the variant is of another model, has no figures to compare, or lost more.
    """
    inner = folder / precision
    if precision == FULL or not (inner / "manifest.json").is_file():
        return folder
    try:
        whole, variant = Manifest.load(folder), Manifest.load(inner)
    except ValueError as error:
        raise ArtifactError(f"{error}: export the artifact again with this version") from error
    _require_same_model(inner, precision, whole, variant)
    losses = list(_losses(whole.metrics, variant.metrics))
    if not losses:
        raise ArtifactError(
            f"{inner}: expected figures of the same splits as in {folder / 'manifest.json'}, to see what the variant "
            "lost, got none: measure it, or serve the precision fp32"
        )
    worst = max(losses, key=lambda loss: loss.share)
    if worst.share > most_loss:
        raise ArtifactError(
            f"{inner}: expected to have lost at most {most_loss:.1%}, but {worst.figure} is {worst.share:.1%} worse: "
            "serve the precision fp32, or allow more with --precision-loss"
        )
    log.info("Variant", model=variant.name, precision=precision, lost=round(worst.share, 4), figure=worst.figure)
    return inner


def _require_same_model(inner: Path, precision: str, whole: Manifest, variant: Manifest) -> None:
    for what, expected, found in (
        ("precision", precision, variant.precision),
        ("name", whole.name, variant.name),
        ("version", whole.version, variant.version),
        ("contract", (whole.contract, whole.fingerprint), (variant.contract, variant.fingerprint)),
        ("sites", [site.name for site in whole.sites], [site.name for site in variant.sites]),
        ("commit", whole.commit, variant.commit),
    ):
        if expected != found:
            raise ArtifactError(
                f"{inner}: {what}: expected {expected} as of the artifact, got {found}: export it again"
            )


def _losses(whole: Mapping[str, object], variant: Mapping[str, object]) -> Iterator[Loss]:
    for split in whole.keys() & variant.keys() - {_EXAMPLE}:
        before, after = _figures(whole[split]), _figures(variant[split])
        for name in before.keys() & after.keys():
            if name in _ERRORS and before[name] > 0:
                yield Loss(after[name] / before[name] - 1, f"{name} on {split}")
            elif name.endswith(_RATES):
                yield Loss(before[name] - after[name], f"{name} on {split}")


def _figures(split: object) -> dict[str, float]:
    """Numbers of a split, of all of it where it is told by parts."""
    figures = split.get(_EVERYTHING, split) if isinstance(split, Mapping) else {}
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
