"""The carrier bands that every snapshot is traced at."""

from __future__ import annotations

from dataclasses import dataclass

from service.contract.captures import CSI_SUBCARRIERS


@dataclass(frozen=True)
class Band:
    """One carrier and what the base station's receiver is like there.

    Attributes:
        name: as people call it.
        carrier_hz: centre frequency.
        bandwidth_hz: of the sounding signal, over `CSI_SUBCARRIERS` equal steps.
        noise_figure_db: of the receiver, antenna to converter.
    """

    name: str
    carrier_hz: float
    bandwidth_hz: float
    noise_figure_db: float

    @property
    def spacing_hz(self) -> float:
        """Distance of two subcarriers of the CSI."""
        return self.bandwidth_hz / CSI_SUBCARRIERS


# 100 MHz is the widest channel of NR bands n41 and n104 and a common one of n257 (table 5.3.5-1 of TS 38.101-1 and of
# TS 38.101-2). The same width everywhere leaves the carrier as the only difference between the bands.
BANDS = (
    Band("2.6 GHz", 2.6e9, 100.0e6, 5.0),
    Band("6 GHz", 6.0e9, 100.0e6, 5.0),
    Band("28 GHz", 28.0e9, 100.0e6, 7.0),
)


def band_index(name: str) -> int:
    """Index in `BANDS`. Raises `ValueError` for a name that is none."""
    names = [band.name for band in BANDS]
    if name not in names:
        raise ValueError(f"band: expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)
