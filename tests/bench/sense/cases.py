"""What is asked of `/v1/sense`: requests of some frames that share some scene captures, from some clients."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from service.contract.tensors import MULTIMODAL, RADIO


@dataclass(frozen=True)
class Case:
    """Frames and scene captures of a request, and clients that each wait for the answer before they ask again."""

    frames: int
    captures: int
    clients: int

    @property
    def share(self) -> str:
        """Captures a frame: what a frame costs the model depends on no other part of the case."""
        return str(Fraction(self.captures, self.frames))

    def __str__(self) -> str:
        frames = f"{self.frames} frame{'s' * (self.frames > 1)}"
        captures = f", {self.captures} capture{'s' * (self.captures > 1)}" if self.captures else ""
        return f"{frames}{captures}; {self.clients} clients"


SEPARATE = Case(1, 1, 32)  # each frame with a capture of its own, and
SHARED = {"as many frames in flight": Case(8, 1, 4), "as many clients": Case(8, 1, 32)}  # captures shared by eights
CASES = {
    MULTIMODAL.name: (Case(1, 0, 32), Case(1, 0, 128), SEPARATE, *SHARED.values(), Case(16, 2, 4), Case(16, 2, 16)),
    RADIO.name: (Case(1, 0, 32), Case(1, 0, 128), Case(16, 0, 4), Case(16, 0, 16)),
}
"""By the contract of the artifact."""
