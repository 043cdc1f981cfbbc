"""Recordings that never end: every site's own, lap after lap, in the order of time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.demo.recording import Exchange

LONE_PERIOD_S = 1.0  # a lap of a site of which there is only one instant


@dataclass(frozen=True)
class Due:
    """An exchange and when it happens, in seconds since the beginning of the first lap."""

    at_s: float
    exchange: Exchange


def laps(exchanges: Sequence[Exchange], ue_suffix: str = "") -> Iterator[Due]:
    """All exchanges again and again, without an end.

    Each site goes round on its own, so that one with a short recording is not silent while another goes on. Every lap
    has UEs of its own: a vehicle that jumped back to where it began would be one that moves as none can.

    Args:
        exchanges: recordings; an exchange belongs to the site of its first frame.
        ue_suffix: appended to every UE's name together with the number of the lap.
    """
    by_site: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        by_site.setdefault(exchange.request["frames"][0]["site"], []).append(exchange)
    return heapq.merge(*(_site_laps(site, ue_suffix) for site in by_site.values()), key=lambda due: due.at_s)


def _site_laps(exchanges: Sequence[Exchange], ue_suffix: str) -> Iterator[Due]:
    ordered = sorted(exchanges, key=_happened_s)
    times_s = [_happened_s(exchange) for exchange in ordered]
    steps_s = [after - before for before, after in itertools.pairwise(times_s) if after > before]
    period_s = times_s[-1] - times_s[0] + min(steps_s, default=LONE_PERIOD_S)
    for lap in itertools.count():
        for at_s, exchange in zip(times_s, ordered, strict=True):
            yield Due(lap * period_s + at_s - times_s[0], _renamed(exchange, f"{ue_suffix}.{lap}"))


def _happened_s(exchange: Exchange) -> float:
    return float(max(frame["timestamp_s"] for frame in exchange.request["frames"]))


def _renamed(exchange: Exchange, suffix: str) -> Exchange:
    frames = [{**frame, "ue": frame["ue"] + suffix} for frame in exchange.request["frames"]]
    return replace(exchange, request={**exchange.request, "frames": frames})
