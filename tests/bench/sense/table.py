"""The figures as tables in Markdown, medians over rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from tests.bench.sense.cases import SEPARATE, SHARED
from tests.bench.sense.rounds import Measurement, Results
from tests.bench.sense.template import FORMS

_HEAD = (
    "frames/s (of raw)",
    "raw frames/s",
    "p50, p99",
    "CPU s / 1,000 frames (raw)",
    "of wrk",
    "RSS (PSS), MiB",
    "errors",
)


def table(results: Results) -> str:
    """A row for each case and form; shares of raw are of the same round, followed by half of their range."""
    lines = [_line([results.artifact, *_HEAD]), _line("---" for _ in ("", *_HEAD))]
    for key in dict.fromkeys((str(one.case), one.form) for one in results.measurements):
        seen = [one for one in results.measurements if (str(one.case), one.form) == key]
        lines.append(_line([f"{key[0]}, {key[1]}", *_figures(seen)]))
    return "\n".join([*lines, *_gains(results.measurements)])


def _figures(seen: Sequence[Measurement]) -> list[str]:
    shares = [one.frames_per_s / one.raw.frames_per_s for one in seen]
    spread = (max(shares) - min(shares)) / 2
    return [
        f"{median(one.frames_per_s for one in seen):,.0f} ({median(shares):.2f} ± {spread:.2f})",
        f"{median(one.raw.frames_per_s for one in seen):,.0f}",
        f"{median(one.p50_ms for one in seen):.1f} ms, {median(one.p99_ms for one in seen):.1f} ms",
        f"{median(one.cpu_s_per_1000 for one in seen):.2f} ({median(one.raw.cpu_s_per_1000 for one in seen):.2f})",
        f"{median(one.load_cpu_s_per_1000 for one in seen):.2f}",
        f"{median(one.rss_mib for one in seen):,.0f} ({median(one.pss_mib for one in seen):,.0f})",
        f"{sum(one.errors for one in seen):,}",
    ]


def _gains(measurements: Sequence[Measurement]) -> Iterable[str]:
    """What it is worth to send a capture once for the UEs that share it."""
    for form in FORMS:
        seen = {(one.round, one.case): one for one in measurements if one.form == form.name}
        for beside, shared in SHARED.items():
            pairs = [(one, seen[number, SEPARATE]) for (number, case), one in seen.items() if case == shared]
            if pairs:
                rate = median(one.frames_per_s / other.frames_per_s for one, other in pairs)
                cost = median(one.cpu_s_per_1000 / other.cpu_s_per_1000 for one, other in pairs)
                yield (
                    f"\n{form.name}: {shared.frames} UEs in one capture against {shared.frames} frames with one each, "
                    f"{beside}: {rate:.2f} × the frames/s, {cost:.2f} × the processor time a frame"
                )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
