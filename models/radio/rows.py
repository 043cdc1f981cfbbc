"""The rows of the table of SCADF-MoE: what is trained, by which options, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.data.raytraced.bands import BANDS

SEEDS = (0, 1, 2)
EPOCHS = 12  # of every row alike
_NAMES = tuple(band.name for band in BANDS)
_ALONE = ("--length", "1")
_PLAIN = (*_ALONE, "--routing", "none", "--layers", "0")


@dataclass(frozen=True)
class Trained:
    """A run of `python -m models.train scadf-moe`.

    Attributes:
        name: of the run's folder, before its seed.
        options: beyond name, seed and epochs.
        about: what the row stands for.
        lengths: T that it is asked with.
        bands: those it is tested on, by name.
    """

    name: str
    about: str
    options: tuple[str, ...] = ()
    lengths: tuple[int, ...] = (16,)
    bands: tuple[str, ...] = _NAMES

    def folder(self, runs: Path, seed: int) -> Path:
        """Of the run with a seed."""
        return runs / f"{self.name}-seed{seed}"

    def command(self, seed: int, epochs: int) -> list[str]:
        """Arguments of `python -m models.train`."""
        return ["scadf-moe", "--name", self.name, "--seed", str(seed), "--epochs", str(epochs), *self.options]


def _slug(band: str) -> str:
    return band.replace(" ", "")


TRAINED: tuple[Trained, ...] = (
    Trained("scadf-moe", "the system", lengths=(16, 8, 4, 2, 1)),
    Trained("scadf-single", "single-point SCADF: trained and asked with T = 1", _ALONE, (1,)),
    Trained("scadf-no-moe", "no MoE: cues weigh alike, one wide expert", ("--routing", "none")),
    Trained("scadf-no-mmd", "no MMD between the experts", ("--diversity", "0")),
    Trained("scadf-hard", "hard top-2 routing", ("--routing", "hard")),
    Trained("early-fusion", "MLP on the four cues at once, single frames", _PLAIN, (1,)),
    Trained("cnn-image", "CNN on the angle-delay image, single frames", (*_PLAIN, "--cues", "csi"), (1,)),
    *(Trained(f"only-{_slug(b)}", f"a model for {b} alone", ("--bands", b), bands=(b,)) for b in _NAMES),
    *(
        Trained(
            f"without-{_slug(b)}",
            f"never trained on {b}",
            ("--bands", ",".join(name for name in _NAMES if name != b)),
            bands=(b,),
        )
        for b in _NAMES
    ),
)  # fmt: skip
