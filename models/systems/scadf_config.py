"""The settings of a run of SCADF-MoE."""

from __future__ import annotations

from dataclasses import dataclass

from models.data.raytraced.bands import BANDS
from models.moe import Routing
from models.systems.scadf_moe import Design
from service.contract.labels import CUES


@dataclass(frozen=True)
class Config:
    """Everything that a run depends on, but the bytes of the data."""

    system: str = "scadf-moe"
    split: str = "held-out-trajectories"
    bands: tuple[str, ...] = tuple(band.name for band in BANDS)
    seed: int = 0
    epochs: int = 12  # of single frames
    path_epochs: int = 5  # of trajectories, after that
    length: int = 16  # T, most vertices of a trajectory
    clusters: float = 0.5  # share of clusters in space beside the windows in time
    cues: tuple[str, ...] = CUES
    routing: Routing = "soft"
    diversity: float = 0.1
    layers: int = 2
    vertices: int = 512  # in a batch
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    dropped: tuple[float, ...] = (0.1, 0.1, 0.25, 0.1)  # share of the frames in which each cue is hidden
    average: float = 0.995  # decay of the averaged weights, per step

    def __post_init__(self) -> None:
        """Raise `ValueError` on a cue that there is not."""
        if not self.cues or set(self.cues) - set(CUES):
            raise ValueError(f"cues: expected some of {', '.join(CUES)}, got {', '.join(self.cues) or 'none'}")

    @property
    def design(self) -> Design:
        """Of the model."""
        return Design(self.cues, self.routing, layers=self.layers)
