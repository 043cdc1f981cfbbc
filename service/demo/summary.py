"""The figures of a replay, and whether they keep what the artifact's card promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from service.demo.outcome import Outcome

POSITION_TOLERANCE = (1.05, 0.05)  # a position figure may be 5 % and 5 cm larger than the card's:
SHARE_TOLERANCE = 0.01  # and a share 0.01 smaller, because trajectories are kept in half precision


@dataclass(frozen=True)
class Summary:
    """Figures over a replay; None where nothing of that kind was both answered and known.

    Attributes:
        frames: how many were posted.
        failed: how many got no answer.
        degraded: how many were answered while a part of the service was down.
        position_median_m: median distance between true and estimated position.
        position_p95_m: its 95th percentile.
        region_coverage: share of the true positions inside their 90 % region.
        los_accuracy: share of frames whose line of sight was told rightly.
        activity_accuracy: share of frames whose activity was told rightly.
    """

    frames: int
    failed: int
    degraded: int
    position_median_m: float | None
    position_p95_m: float | None
    region_coverage: float | None
    los_accuracy: float | None
    activity_accuracy: float | None

    def to_json(self) -> dict[str, object]:
        """The figures as JSON-ready values."""
        return asdict(self)


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """The figures over all outcomes."""
    errors_m = [o.error_m for o in outcomes if o.error_m is not None]
    return Summary(
        frames=len(outcomes),
        failed=sum(o.error is not None for o in outcomes),
        degraded=sum(bool(o.degraded) for o in outcomes),
        position_median_m=float(np.median(errors_m)) if errors_m else None,
        position_p95_m=float(np.percentile(errors_m, 95)) if errors_m else None,
        region_coverage=_share(o.region_holds for o in outcomes),
        los_accuracy=_share(o.los_right for o in outcomes),
        activity_accuracy=_share(o.activity_right for o in outcomes),
    )


def shortfalls(summary: Summary, card: Mapping[str, object]) -> list[str]:
    """What is worse than promised, a sentence each; empty where all is well.

    Args:
        summary: what was measured just now.
        card: `metrics["sample"]` of the artifact's manifest, the same figures measured offline at export.
    """
    found = []
    if summary.failed:
        found.append(f"{summary.failed} of {summary.frames} frames were not answered")
    if summary.degraded:
        found.append(
            f"{summary.degraded} of {summary.frames} frames were answered while a part of the service was down"
        )
    if (frames := card.get("frames")) is not None and summary.frames != frames:
        found.append(f"frames: the card's sample has {frames}, {summary.frames} were replayed")
    for name, measured in summary.to_json().items():
        promised = card.get(name)
        if name in ("frames", "failed", "degraded") or not isinstance(promised, int | float):
            continue
        if not isinstance(measured, float):
            found.append(f"{name}: the card says {promised:.3f}, nothing was measured")
        elif name.endswith("_m") and measured > promised * POSITION_TOLERANCE[0] + POSITION_TOLERANCE[1]:
            found.append(f"{name}: the card says {promised:.2f} m, measured {measured:.2f} m")
        elif not name.endswith("_m") and measured < promised - SHARE_TOLERANCE:
            found.append(f"{name}: the card says {promised:.3f}, measured {measured:.3f}")
    return found


def _share(verdicts: Iterable[bool | None]) -> float | None:
    known = [v for v in verdicts if v is not None]
    return sum(known) / len(known) if known else None
