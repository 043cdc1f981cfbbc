"""How metric families are declared: names, labels, buckets, and how several processes add up, in one place each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.metrics.histogram import BatchHistogram

PREFIX = "cellsense_"

Across = Literal["livesum", "livemin", "livemax"]
"""What a gauge is where several processes answer: the sum, least or greatest of those that live."""


@dataclass(frozen=True)
class Family:
    """What the table of metrics says of one family.

    Attributes:
        name: as it is scraped: that of a counter ends with `_total`.
        kind: `counter`, `gauge` or `histogram`.
        labels: names of its labels.
        help: what is counted.
        buckets: upper bounds of a histogram, less the infinite one.
        across: how the processes of one service add up.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    across: str = "sum"


class Families:
    """Declares families on a registry, and remembers them in order."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.declared: list[Family] = []

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter; `name` ends with `_total`."""
        self.declared.append(Family(PREFIX + name, "counter", tuple(labels), text))
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = (), across: Across = "livesum") -> Gauge:
        """A gauge. That of a process that died counts no more."""
        self.declared.append(Family(PREFIX + name, "gauge", tuple(labels), text, across=across.removeprefix("live")))
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode=across)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> BatchHistogram:
        """A histogram of the given upper bounds."""
        self.declared.append(Family(PREFIX + name, "histogram", tuple(labels), text, tuple(buckets)))
        return BatchHistogram(PREFIX + name, text, labels, registry=self.registry, buckets=buckets)
