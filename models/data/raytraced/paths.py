"""Propagation paths as plain arrays, and the CSI that they add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.data.schema import Arrays
from service.contract.captures import CSI_SUBCARRIERS
from service.contract.sites import Site

DELAY_WINDOW_S = 560e-9
"""Longest delay that the channel estimator keeps.

A base station estimates the impulse response over its whole sounding signal, whose finer comb resolves echoes of many
microseconds, cuts it to the window in which users of the cell arrive, and hands on every n-th subcarrier. Without the
cut, echoes later than one over the spacing of the 64 subcarriers (640 ns) would come back as early ones. The last
eighth of those 640 ns is left free, because there the timing error puts arrivals before zero.
"""


@dataclass(frozen=True)
class Paths:
    """P paths of L links, link by link; units and frames of the columns `path_*` in `models.data.schema`.

    Attributes:
        offset: int64 `[L + 1]` paths of link l are rows offset[l] : offset[l + 1].
        gain: complex64 `[P, B]` baseband amplitude gain at the array's centre, carrier phase included.
        delay_s: float32 `[P]`.
        site_angle: float32 `[P, 2]` azimuth counter-clockwise from east, elevation.
        ue_angle: float32 `[P, 2]`.
        rate_mps: float32 `[P]` growth of the length.
        kind: uint8 `[P, 4]`.
        vertex_m: float32 `[P, 4, 3]` ENU.
    """

    offset: NDArray[np.int64]
    gain: NDArray[np.complex64]
    delay_s: NDArray[np.float32]
    site_angle: NDArray[np.float32]
    ue_angle: NDArray[np.float32]
    rate_mps: NDArray[np.float32]
    kind: NDArray[np.uint8]
    vertex_m: NDArray[np.float32]

    @property
    def links(self) -> int:
        """Number of links."""
        return len(self.offset) - 1

    def columns(self) -> Arrays:
        """The columns `path_*` of a shard."""
        plain = {f"path_{f.name}": getattr(self, f.name) for f in fields(self)}
        plain["path_gain"] = self.gain.view(np.float32).reshape(*self.gain.shape, 2)
        return plain

    @classmethod
    def of(cls, arrays: Arrays) -> Paths:
        """From the columns of a shard: links in the order (snapshot, UE)."""
        plain = {f.name: arrays[f"path_{f.name}"] for f in fields(cls)}
        plain["gain"] = np.ascontiguousarray(arrays["path_gain"]).view(np.complex64)[..., 0]
        return cls(**plain)

    @classmethod
    def joined(cls, parts: list[Paths]) -> Paths:
        """All links of all parts, part by part."""
        ends = np.cumsum([0] + [part.offset[-1] for part in parts])
        offset = np.concatenate([[0], *(part.offset[1:] + end for part, end in zip(parts, ends[:-1], strict=True))])
        rest = [f.name for f in fields(cls) if f.name != "offset"]
        return cls(offset.astype(np.int64), **{n: np.concatenate([getattr(part, n) for part in parts]) for n in rest})


def synthesise(
    paths: Paths, band: int, bandwidth_hz: float, site: Site, window_s: float = DELAY_WINDOW_S
) -> NDArray[np.complex64]:
    """Clean CSI of every link, complex64 `[L, 32, 64]`: amplitude gain at each element and subcarrier.

    A plane wave from direction k (unit, mast frame: x along the boresight, y left, z up) reaches the element of column
    c and row r with the phase pi * (-(c - 3.5) * k_y + (r - 1.5) * k_z) relative to the array's centre; subcarrier n
    turns by exp(-j 2 pi (n - 32) spacing delay).

    Args:
        band: index on the last axis of `paths.gain`.
        window_s: paths that arrive later are left out (see `DELAY_WINDOW_S`).
    """
    if not (site.array_rows and site.array_cols):
        raise ValueError(f"{site.name}: expected a site with an antenna array, got one without")
    azimuth, elevation = paths.site_angle[:, 0] - site.boresight_rad, paths.site_angle[:, 1]
    left, up = np.sin(azimuth) * np.cos(elevation), np.sin(elevation)
    row, col = np.divmod(np.arange(site.array_rows * site.array_cols), site.array_cols)
    turn = np.outer(up, row - (site.array_rows - 1) / 2) - np.outer(left, col - (site.array_cols - 1) / 2)
    steering = np.exp(1j * math.pi * turn).astype(np.complex64)
    offset_hz = (np.arange(CSI_SUBCARRIERS) - CSI_SUBCARRIERS // 2) * bandwidth_hz / CSI_SUBCARRIERS
    tones = np.exp(-2j * math.pi * np.outer(paths.delay_s.astype(np.float64), offset_hz)).astype(np.complex64)
    gain = np.where(paths.delay_s <= window_s, paths.gain[:, band], np.complex64(0))
    steering *= gain[:, None]
    csi = np.zeros((paths.links, len(row), CSI_SUBCARRIERS), np.complex64)
    for link, (low, high) in enumerate(zip(paths.offset[:-1], paths.offset[1:], strict=True)):
        np.matmul(steering[low:high].T, tones[low:high], out=csi[link])
    return csi
