"""What an engine is to the rest of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.contract.manifest import Manifest

Inputs = Mapping[str, NDArray[np.generic]]
"""Tensors by name, as the contract of the artifact specifies them."""

Outputs = dict[str, NDArray[Any]]
"""Tensors by name; those of the contracts that frames are answered by are float32."""


@dataclass(frozen=True)
class Plan:
    """How a graph is run.

    Attributes:
        sessions: runs at the same time, without waiting for each other.
        threads: of each run.
        rows: most rows of a run.
        rates: rows a second by rows of a run, as measured; empty where nothing was.
        lone_threads: of a run of one row while nothing else runs, if more than `threads`.
        side_by_side: whether runs at the same time have a processor each, rather than one after the other.
    """

    sessions: int = 1
    threads: int = 1
    rows: int = 64
    rates: Mapping[int, float] = field(default_factory=dict)
    lone_threads: int = 1
    side_by_side: bool = True


class Described(Protocol):
    """What is known of a loaded artifact, wherever it is."""

    @property
    def name(self) -> str:
        """Name of the artifact."""

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, most preferred first."""


class Engine(Described, Protocol):
    """A loaded artifact. Safe to call from several threads at once."""

    def plan(self, graph: str) -> Plan:
        """How a graph is best run; final after `warm_up`."""

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        """Inputs of one of the contract's graphs to its outputs. Raises `EngineFailure`."""

    def warm_up(self) -> None:
        """Run every shape that is specialised, so that no request pays for a first time. Raises `EngineFailure`."""
