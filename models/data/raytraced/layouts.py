"""Where base stations stand: a layout of sionna-rt, a mast in it, and the sector that the mast serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site


@dataclass(frozen=True)
class Layout:
    """One sector of one base station in one ray-traced city.

    Attributes:
        scene: name of the scene in `sionna.rt.scene`.
        mast_m: foot of the mast in the scene's own frame (x east, y north), metres.
        site: the site as the service knows it; its ENU frame has its origin at the foot of the mast.
        sector_deg: half width of the served sector around the boresight.
        range_m: ground distances (nearest, farthest) that the sector serves.
        street_m: a point of the scene's frame that lies on the street, to tell streets from courtyards.
    """

    scene: str
    mast_m: tuple[float, float]
    site: Site
    sector_deg: float
    range_m: tuple[float, float]
    street_m: tuple[float, float]

    def to_scene(self, enu: NDArray[np.floating]) -> NDArray[np.float64]:
        """ENU metres `[..., 2 or 3]` to the scene's frame."""
        moved = np.array(enu, np.float64)
        moved[..., 0] += self.mast_m[0]
        moved[..., 1] += self.mast_m[1]
        return moved

    @property
    def sensor_m(self) -> NDArray[np.float64]:
        """Array, camera, radar and LiDAR in the scene's frame, `[3]`."""
        return np.array([*self.mast_m, self.site.mast_height_m])


MUNICH = Layout(
    scene="munich",
    mast_m=(8.5, 21.0),
    site=Site(
        name="munich",
        origin_wgs84=(48.1375, 11.5755, 519.0),
        boresight_deg=20.0,
        mast_height_m=27.0,
        range_max_m=192.0,
        velocity_max_mps=20.0,
        height_min_m=0.0,
        height_max_m=32.0,
        radar_window_s=0.1,
        tasks=("position", "los"),
        carrier_hz=6.0e9,
        bandwidth_hz=100.0e6,
        array_rows=4,
        array_cols=8,
    ),
    sector_deg=60.0,
    range_m=(20.0, 182.0),
    street_m=(60.0, 70.0),
)

LAYOUTS: dict[str, Layout] = {layout.site.name: layout for layout in (MUNICH,)}
