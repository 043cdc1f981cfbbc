"""Prometheus metrics: application prefix, base units, histograms, bounded labels. METRICS.md in deploy/ lists them."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from service.contract.sites import Site
from service.contract.tensors import Contract
from service.metrics.compute import ComputeMetrics
from service.metrics.families import Families, Family
from service.metrics.sensing import SensingMetrics, TruthMetrics
from service.metrics.shared import Seat
from service.metrics.system import ProcessMetrics, SystemMetrics
from service.metrics.traffic import TrafficMetrics

__all__ = ["EngineMetrics", "Metrics", "Seat"]

disable_created_metrics()  # nobody reads when a series began, and with several processes nobody could tell


class Metrics:
    """Everything that the service counts, on a registry of its own so that two services can live in one process."""

    def __init__(self, seat: Seat | None = None, commit: str = "unknown") -> None:
        """Declare every family.

        Args:
            seat: among the processes that count together; None for a process that counts alone.
            commit: what the service was built from.
        """
        self.registry = CollectorRegistry()
        self._seat = seat
        families = Families(self.registry)
        self.traffic = TrafficMetrics(families)
        self.compute = ComputeMetrics(families)
        self.sensing = SensingMetrics(families)
        self.truth = TruthMetrics(families)
        self.system = SystemMetrics(families, commit)
        self.families: tuple[Family, ...] = tuple(families.declared)

    def expect(self, sites: Iterable[tuple[Site, Contract]]) -> None:
        """Start the series of every site and its model from 0, so that the first increase is seen as one."""
        sites = list(sites)
        self.traffic.expect(site.name for site, _ in sites)
        for site, contract in sites:
            self.sensing.expect(site, contract)
            self.truth.expect(site)

    def render(self) -> bytes:
        """The text format of Prometheus, for all processes together. Blocks for some milliseconds: use a thread."""
        return generate_latest(self.registry if self._seat is None else self._seat.collect())


class EngineMetrics:
    """What is counted by a process that runs models for others, which answer the requests."""

    def __init__(self) -> None:
        families = Families(CollectorRegistry())
        self.compute = ComputeMetrics(families)
        self.process = ProcessMetrics(families)
