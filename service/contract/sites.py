"""A site: one base station, its sensors, and its local frame of reference.

Three frames are used. *ENU*: metres east, north and up of the site's origin, the ground under the mast; everything on
the wire is in ENU. *Mast frame*: x forward along the boresight, y left, z up, same origin; the networks see only this
one, so a site can be turned without training anew. *WGS 84*: for answers on the map.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Site:
    """A base station and its sensors. Fields that a site's sensors do not need are None."""

    name: str
    origin_wgs84: tuple[float, float, float]  # latitude deg, longitude deg, height m
    boresight_deg: float  # direction the array faces, degrees clockwise from north
    mast_height_m: float  # height of array, camera, radar and LiDAR above the origin
    range_max_m: float  # slant range of the last range bin of radar and LiDAR
    velocity_max_mps: float  # radial speed of the last Doppler bin of the radar
    height_min_m: float  # lowest height bin of the radar's time-height plane, ENU up
    height_max_m: float
    radar_window_s: float  # length of a radar capture
    tasks: tuple[str, ...]  # what the site's artifact was trained to answer there
    carrier_hz: float | None = None
    bandwidth_hz: float | None = None
    array_rows: int | None = None  # elements of the antenna array, vertically, half a wavelength apart
    array_cols: int | None = None
    carriers_hz: tuple[float, ...] | None = None  # those that a frame may name; None: only `carrier_hz`

    @property
    def carriers(self) -> tuple[float, ...]:
        """Carrier frequencies that a frame may be measured on, Hz."""
        return self.carriers_hz or (() if self.carrier_hz is None else (self.carrier_hz,))

    @property
    def boresight_rad(self) -> float:
        """Boresight as an angle counter-clockwise from east, radians."""
        return math.radians(90.0 - self.boresight_deg)

    def to_mast(self, enu: NDArray[np.floating]) -> NDArray[np.float64]:
        """ENU metres `[..., 2 or 3]` to the mast frame (forward, left[, up])."""
        return _rotate(np.asarray(enu, np.float64), -self.boresight_rad)

    def to_enu(self, mast: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mast-frame metres `[..., 2 or 3]` to ENU (east, north[, up])."""
        return _rotate(np.asarray(mast, np.float64), self.boresight_rad)

    def covariance_to_enu(self, mast: NDArray[np.floating]) -> NDArray[np.float64]:
        """Covariances `[..., 2, 2]` in m² from the mast frame to ENU."""
        c, s = math.cos(self.boresight_rad), math.sin(self.boresight_rad)
        r = np.array([[c, -s], [s, c]])
        turned: NDArray[np.float64] = r @ np.asarray(mast, np.float64) @ r.T
        return turned

    def to_json(self) -> dict[str, object]:
        """The site as JSON-ready values."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        if self.carriers_hz is None:
            del values["carriers_hz"]  # so that what is known by a digest of its sites keeps it
        return values

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Site:
        """The inverse of `to_json`. Raises `ValueError` on a missing or unknown field."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"site: unknown fields {unknown}, expected {sorted(known)}")
        values = dict(data)
        for key in ("origin_wgs84", "tasks", "carriers_hz"):
            if isinstance(values.get(key), list):
                values[key] = tuple(values[key])  # type: ignore[arg-type]
        try:
            return cls(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise ValueError(f"site: {error}") from error


def _rotate(points: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turned = points.copy()
    turned[..., 0] = c * points[..., 0] - s * points[..., 1]
    turned[..., 1] = s * points[..., 0] + c * points[..., 1]
    return turned
