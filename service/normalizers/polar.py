"""The azimuth-range grid that radar and LiDAR share, in the mast frame seen from the sensor at mast height."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site

BINS = 64


@dataclass(frozen=True)
class Cloud:
    """The points of every capture of one site.

    Attributes:
        site: the site.
        capture: int64 `[P]`, row of the capture that each point belongs to.
        columns: float64 `[columns, P]`, those of the captures.
        in_front: bool `[P]`, whether the point lies in front of the mast.
        sin_azimuth: float64 `[P]`, rising to the left of the boresight.
        range_m: float64 `[P]`, slant range from the sensor.
    """

    site: Site
    capture: NDArray[np.int64]
    columns: NDArray[np.float64]
    in_front: NDArray[np.bool_]
    sin_azimuth: NDArray[np.float64]
    range_m: NDArray[np.float64]


def clouds(captures: Sequence[NDArray[np.float32]], sites: Sequence[Site], east_column: int) -> Iterator[Cloud]:
    """Gather the captures of each site, so that the arithmetic runs once a site and not once a capture.

    Args:
        captures: float32 `[N, columns]` each; N may be 0.
        sites: the site of each capture.
        east_column: column of the east coordinate; north and up follow it.
    """
    rows: dict[int, list[int]] = {}  # by identity: the hash of a site is that of all its fields
    for row, site in enumerate(sites):
        rows.setdefault(id(site), []).append(row)
    for members in rows.values():
        site = sites[members[0]]
        points = np.concatenate([captures[row] for row in members])
        columns = points.T.astype(np.float64, order="C")  # in which no float32 coordinate can overflow
        east, north, up = columns[east_column : east_column + 3]
        of_east, of_north = site.to_mast(np.eye(2)).tolist()
        forward = of_east[0] * east + of_north[0] * north
        left = of_east[1] * east + of_north[1] * north
        squared_m2 = forward * forward + left * left
        ground_m = np.sqrt(squared_m2)
        rise_m = up - site.mast_height_m
        yield Cloud(
            site=site,
            capture=np.repeat(np.array(members, np.int64), [len(captures[row]) for row in members]),
            columns=columns,
            in_front=forward >= 0,
            sin_azimuth=left / np.where(ground_m > 0, ground_m, 1.0),
            range_m=np.sqrt(squared_m2 + rise_m * rise_m),
        )


def bin_of(values: NDArray[np.float64], low: float, high: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bin 0 to 63 of each value on an axis from `low` to `high`, and whether the value lies on the axis at all.

    A value outside has the bin of the nearer edge.
    """
    position = (values - low) * (BINS / (high - low))
    inside = (values >= low) & (values <= high)
    return np.clip(position, 0, BINS - 1).astype(np.int64), inside
