"""Radar detections to range-azimuth, range-Doppler, time-Doppler and time-height planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.normalizers.polar import BINS, directions

PLANES = 4
_TIME, _EAST, _NORTH, _UP, _VELOCITY, _INTENSITY = range(6)  # columns of a capture
_CELLS = BINS * BINS


def radar_planes(captures: Sequence[NDArray[np.float32]], sites: Sequence[Site]) -> NDArray[np.float32]:
    """Detections of each capture, gathered in four planes of its site.

    A detection weighs `clip(intensity dB / 20, 0.05, 4)`. One behind the mast counts nowhere; one beyond the end of a
    range, time or height axis does not count in the planes of that axis; one beyond the last velocity counts in the
    edge bin.

    Args:
        captures: float32 `[N, 6]` each, finite, in the layout of `contract.captures`; N may be 0.
        sites: the site of each capture.

    Returns:
        float32 `[S, 4, 64, 64]`, `log1p` of the summed weight. Plane 0: sin(azimuth) from -1 to 1 (rising to the left)
        by slant range from the sensor. Plane 1: velocity by slant range. Plane 2: velocity by time. Plane 3: height
        (ENU up) by time. Every axis rises with its index.
    """
    planes = np.zeros((len(captures), PLANES, BINS, BINS), np.float32)
    fill_radar_planes(planes, dict(enumerate(captures)), sites)
    return planes


def fill_radar_planes(
    planes: NDArray[np.float32], captures: Mapping[int, NDArray[np.float32]], sites: Sequence[Site]
) -> None:
    """Write into planes of zeros the rows that have a capture; `sites` are those of all rows."""
    weights = planes.reshape(-1)
    rows_of: dict[int, list[int]] = {}  # by identity: the hash of a site is that of all its fields
    for row in captures:
        rows_of.setdefault(id(sites[row]), []).append(row)
    for rows in rows_of.values():  # so that the arithmetic runs once a site and not once a capture
        points = captures[rows[0]] if len(rows) == 1 else np.concatenate([captures[row] for row in rows])
        columns = points.T.astype(np.float64, order="C")  # in which no float32 coordinate can overflow
        cells, counts = _cells(columns, sites[rows[0]])
        cells += np.repeat(np.array(rows) * (PLANES * _CELLS), [len(captures[row]) for row in rows])
        weight = (columns[_INTENSITY] / 20.0).clip(0.05, 4.0).astype(np.float32)
        np.add.at(weights, cells.reshape(-1), (counts * weight).reshape(-1))
        weights[cells] = np.log(weights[cells] + np.float32(1))  # few: that of all would take longer than the rest


def _cells(columns: NDArray[np.float64], site: Site) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Cell of each detection in each plane, counted from the first of the capture's, and whether it counts there.

    Args:
        columns: `[6, P]`, those of the captures.
        site: the site.

    Returns:
        Both `[4, P]`.
    """
    where = directions(columns[_EAST], columns[_NORTH], columns[_UP], site)
    time_s, up_m = columns[_TIME], columns[_UP]
    low = (-1.0, -site.velocity_max_mps, site.height_min_m, 0.0, 0.0)
    high = (1.0, site.velocity_max_mps, site.height_max_m, site.range_max_m, site.radar_window_s)
    positions = np.array([where.sin_azimuth, columns[_VELOCITY], up_m, where.range_m, time_s])
    positions -= np.array(low)[:, None]
    positions *= BINS / np.subtract(high, low)[:, None]
    azimuth, velocity, height, reach, time = positions.clip(0, BINS - 1, out=positions).astype(np.intp)
    velocity_row = velocity * BINS + _CELLS
    time += _CELLS
    cells = np.array([azimuth * BINS + reach, velocity_row + reach, velocity_row + time, height * BINS + time])
    cells[3] += 2 * _CELLS

    in_reach = where.range_m <= site.range_max_m
    in_reach &= where.in_front
    in_time = (time_s >= 0) & (time_s <= site.radar_window_s) & where.in_front
    in_height = (up_m >= site.height_min_m) & (up_m <= site.height_max_m)
    return cells, np.array([in_reach, in_reach, in_time, in_time & in_height])
