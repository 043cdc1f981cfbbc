"""Ask a Prometheus, as Grafana does for a panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Series:
    """One answered series: its labels, and its samples as (Unix time in seconds, value)."""

    labels: Labels
    samples: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.samples[-1][1]


class Source:
    """A running Prometheus, in a `with` block. Its methods raise `httpx.HTTPError`, or `ValueError` for a bad query."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def at(self, expr: str, time_s: float | None = None) -> list[Series]:
        """The value of each series now, or at a time."""
        result = self._ask("query", {"query": expr} | ({} if time_s is None else {"time": time_s}))
        if result["resultType"] == "scalar":
            return [Series({}, (_sample(result["result"]),))]
        return [Series(series["metric"], (_sample(series["value"]),)) for series in result["result"]]

    def over(self, expr: str, start_s: float, end_s: float, step_s: float) -> list[Series]:
        """The values of each series from one time to another."""
        result = self._ask("query_range", {"query": expr, "start": start_s, "end": end_s, "step": step_s})
        return [Series(s["metric"], tuple(_sample(pair) for pair in s["values"])) for s in result["result"]]

    def get(self, path: str, **parameters: str) -> Any:
        """The data of any other endpoint of the HTTP API, e.g. `alerts` or `label/site/values`."""
        answer = self._http.get(f"/api/v1/{path}", params=parameters)
        return answer.raise_for_status().json()["data"]

    def _ask(self, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/api/v1/{path}", data=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters['query']}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data


def _sample(pair: tuple[float, str]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
