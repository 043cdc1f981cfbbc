"""Where base stations stand: a layout of sionna-rt, a mast in it, and the sector that the mast serves.

The first mast, in Munich, stands on a roof. The others were chosen among some 600 places a city beside a facade of 10
to 30 m: those that serve much connected street of which about 60 % is in line of sight. The scenes carry no
georeference: the WGS 84 origins are the true places to within some 100 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site


@dataclass(frozen=True)
class Layout:
    """One sector of one base station in one ray-traced city.

    Attributes:
        scene: name of the scene in `sionna.rt.scene`; sites of one scene stand in one city.
        foot_m: foot of the mast in the scene's own frame (x east, y north, z up), metres.
        site: the site as the service knows it; its ENU frame has its origin at the foot of the mast.
        sector_deg: half width of the served sector around the boresight.
        range_m: ground distances (nearest, farthest) that the sector serves.
    """

    scene: str
    foot_m: tuple[float, float, float]
    site: Site
    sector_deg: float = 60.0
    range_m: tuple[float, float] = (20.0, 160.0)

    def to_scene(self, enu: NDArray[np.floating]) -> NDArray[np.float64]:
        """ENU metres `[..., 3]` to the scene's frame."""
        return np.asarray(enu, np.float64) + self.foot_m

    def to_enu(self, scene: NDArray[np.floating]) -> NDArray[np.float64]:
        """The scene's frame to ENU metres `[..., 3]`."""
        return np.asarray(scene, np.float64) - self.foot_m

    @property
    def sensor_m(self) -> NDArray[np.float64]:
        """Array, camera, radar and LiDAR in the scene's frame, `[3]`."""
        return self.to_scene(np.array([0.0, 0.0, self.site.mast_height_m]))


def _site(
    name: str, origin_wgs84: tuple[float, float, float], boresight_deg: float, mast_height_m: float,
    height_m: tuple[float, float] = (0.0, 32.0),
) -> Site:  # fmt: skip
    return Site(
        name=name,
        origin_wgs84=origin_wgs84,
        boresight_deg=boresight_deg,
        mast_height_m=mast_height_m,
        range_max_m=192.0,
        velocity_max_mps=20.0,
        height_min_m=height_m[0],
        height_max_m=height_m[1],
        radar_window_s=0.1,
        tasks=("position", "los"),
        carrier_hz=6.0e9,
        bandwidth_hz=100.0e6,
        array_rows=4,
        array_cols=8,
    )


_ALL = (
    Layout("munich", (8.5, 21.0, 0.0), _site("munich", (48.1375, 11.5755, 519.0), 20.0, 27.0)),
    Layout("munich", (-287.0, -297.0, 0.0), _site("munich-west", (48.1346, 11.5715, 519.0), 110.0, 24.7)),
    Layout("etoile", (-37.0, -68.0, 0.0), _site("etoile-south", (48.8732, 2.2945, 60.0), 210.0, 20.8)),
    Layout("etoile", (-27.0, 129.0, 0.0), _site("etoile-north", (48.8750, 2.2946, 60.0), 130.0, 19.7)),
    Layout("florence", (12.0, -82.0, 0.0), _site("florence", (43.7724, 11.2562, 50.0), 30.0, 20.1)),
    Layout("florence", (325.0, -190.0, 0.0), _site("florence-east", (43.7714, 11.2600, 50.0), 40.0, 16.0)),
    Layout(
        "san_francisco",
        (317.0, -61.0, 25.16),
        _site("san-francisco", (37.7900, -122.4000, 30.0), 310.0, 15.5, height_m=(-32.0, 32.0)),
    ),
)
LAYOUTS: dict[str, Layout] = {layout.site.name: layout for layout in _ALL}
