"""What `/metrics` says."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(gateway: httpx.AsyncClient) -> Samples:
    """Every sample by its name and labels."""
    return samples_of((await gateway.get("/metrics")).text)


def samples_of(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def total(samples: Samples, name: str, **labels: str) -> float:
    """Sum of the samples of that name which have at least these labels."""
    return sum(value for (found, has), value in samples.items() if found == name and has >= set(labels.items()))
