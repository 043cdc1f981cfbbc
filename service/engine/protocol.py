"""What an engine is to the rest of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.contract.manifest import Manifest

Inputs = Mapping[str, NDArray[np.generic]]
"""Tensors by name, as the contract of the artifact specifies them."""

Outputs = dict[str, NDArray[np.float32]]
"""Tensors by name; every output of the contract is float32."""


class Engine(Protocol):
    """A loaded artifact. Safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Name of the artifact."""

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, most preferred first."""

    @property
    def sessions(self) -> int:
        """Calls that can run at the same time without waiting for each other."""

    def encode(self, inputs: Inputs) -> Outputs:
        """Inputs of the contract's `encode` graph to its outputs. Raises `EngineFailure`."""

    def fuse(self, inputs: Inputs) -> Outputs:
        """The same for `fuse`, always with as many steps as the contract says. Raises `EngineFailure`."""

    def warm_up(self) -> None:
        """Run every shape that is specialised, so that no request pays for a first time. Raises `EngineFailure`."""
