"""The figures as a table in Markdown: a row a server, the fastest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.serving.measurements import CENTRAL_CLIENTS, TINY_CLIENTS, Cell, Failure, large_requests
from tests.bench.serving.server import Server
from tests.bench.serving.summary import RawSummary, Summary

_NOTHING = "–"


def table(
    servers: Sequence[Server], raw: Sequence[RawSummary], found: Sequence[Summary], failed: Sequence[Failure]
) -> str:
    """Markdown. Frames per second are followed by the share of raw just before and half the range of that."""
    by_cell = {(one.server, one.cell): one for one in found}
    singles = sorted({one.cell for one in found if one.cell.model == "bench" and one.cell.frames == 1}, key=_clients)
    shown = {server.name: server for server in servers if any(one.server == server.name for one in found)}
    order = sorted(shown, key=lambda name: -_share(by_cell, name, central(singles)))
    head = [
        "frames/s (of raw)",
        "1 client: p50, p99",
        *(f"{cell.clients} clients" for cell in singles if cell.clients > 1),
        f"{large_requests().clients} clients × {large_requests().frames} frames",
        f"tiny, {TINY_CLIENTS} clients",
        f"{central(singles).clients} clients: p50, p99",
        "CPU s / 1,000 frames",
        "RSS (PSS), MiB",
        "errors",
    ]
    lines = [_line(head), _line("---" for _ in head), _raw_line(raw, len(singles))]
    for name in order:
        title = f"**{shown[name].title}**" if shown[name].ours else shown[name].title
        lines.append(_line([title, *_figures(by_cell, name, singles)]))
    lines += [f"\n{failure.server} failed: {failure.reason.splitlines()[-1]}" for failure in failed]
    return "\n".join(lines)


def central(singles: Sequence[Cell]) -> Cell:
    """The cell by which servers are ordered: that of `CENTRAL_CLIENTS`, or the one nearest to it."""
    return min(singles, key=lambda cell: abs(cell.clients - CENTRAL_CLIENTS))


def _figures(by_cell: dict[tuple[str, Cell], Summary], name: str, singles: Sequence[Cell]) -> list[str]:
    middle, one = by_cell[name, central(singles)], by_cell.get((name, Cell("bench", 1, 1)))
    all_of_it = [summary for (server, _), summary in by_cell.items() if server == name]
    bench = [summary for summary in all_of_it if summary.cell.model == "bench"]
    rates = [cell for cell in singles if cell.clients > 1]
    return [
        _times(one),
        *(_rate(by_cell.get((name, cell))) for cell in (*rates, large_requests(), Cell("tiny", TINY_CLIENTS, 1))),
        _times(middle),
        f"{middle.cpu_s_per_1000:.2f}",
        f"{max(s.rss_mib for s in bench):,.0f} ({max(s.pss_mib for s in bench):,.0f})",
        f"{sum(s.errors for s in all_of_it):,}",
    ]


def _raw_line(raw: Sequence[RawSummary], singles: int) -> str:
    figures = {one.model: one for one in raw}
    bench, tiny = figures["bench"], figures["tiny"]
    rate = f"{bench.frames_per_s:,.0f} (1.00)"
    rates = [rate] * (singles - 1)
    cells = [f"{bench.p50_ms:.1f} ms", *rates, rate, f"{tiny.frames_per_s:,.0f} (1.00)", _NOTHING]
    return _line([f"raw: {bench.setting}", *cells, f"{bench.cpu_s_per_1000:.2f}", f"{bench.rss_mib:,.0f}", _NOTHING])


def _times(one: Summary | None) -> str:
    return f"{one.p50_ms:.1f} ms, {one.p99_ms:.1f} ms" if one else _NOTHING


def _rate(one: Summary | None) -> str:
    return f"{one.frames_per_s:,.0f} ({one.share:.2f} ± {one.share_spread:.2f})" if one else _NOTHING


def _share(by_cell: dict[tuple[str, Cell], Summary], name: str, cell: Cell) -> float:
    return by_cell[name, cell].share


def _clients(cell: Cell) -> int:
    return cell.clients


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
