"""Survey a site's sector by rays: heights, streets, what the mast sees, and the zones that are held out."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import ndimage

from models.data.raytraced.streets import GRID_M, Streets
from models.data.raytraced.world import World
from models.data.raytraced.zones import zones_of

_MARGIN_M = 20.0  # of the height map around the served sector
_ABOVE_M = 600.0  # where the rays from above start
_PROBES_M = np.array([-0.49, 0.0, 0.49]) * GRID_M  # where in a cell, along each axis, a ray comes down
_ANTENNA_M = 1.5  # height over ground of the UE that a cell's line of sight is told for


def survey(world: World, seed: int) -> Streets:
    """The streets of the world's sector; every body is sent away for it.

    Args:
        seed: of the draw of the zones that are held out.
    """
    layout = world.layout
    world.clear()
    half = np.ceil(layout.range_m[1] + _MARGIN_M)
    axis = np.arange(-half, half, GRID_M) + GRID_M / 2
    x, y = np.meshgrid(axis, axis)
    height = np.full(x.shape, -np.inf)
    street = np.ones(x.shape, bool)
    for east, north in itertools.product(_PROBES_M, _PROBES_M):  # a cell is street where all of it is
        top = layout.to_scene(np.stack([x + east, y + north, np.full(x.shape, _ABOVE_M)], -1).reshape(-1, 3))
        hits = world.cast(top, np.broadcast_to([0.0, 0.0, -1.0], top.shape))
        height = np.maximum(height, (_ABOVE_M - hits.distance_m).reshape(x.shape))
        street &= hits.ground.reshape(x.shape)
    off = np.abs((np.arctan2(y, x) - layout.site.boresight_rad + math.pi) % (2 * math.pi) - math.pi)
    distance = np.hypot(x, y)
    sector = (off <= math.radians(layout.sector_deg)) & (distance >= layout.range_m[0])
    sector &= distance <= layout.range_m[1]
    labels, _ = ndimage.label(street & sector)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mine = labels == sizes.argmax()  # the largest piece: courtyards have no way out
    clearance = np.where(mine, ndimage.distance_transform_edt(street) * GRID_M, 0.0)
    nearest = ndimage.distance_transform_edt(~street, return_distances=False, return_indices=True)
    ground = height[tuple(nearest)]
    points = np.stack([x[mine], y[mine], ground[mine] + _ANTENNA_M], 1)
    blocked = np.zeros(x.shape, bool)
    blocked[mine] = ~world.sees(layout.sensor_m, layout.to_scene(points))
    zone = zones_of(mine, blocked, GRID_M, np.random.default_rng([seed, 0x20E5]))
    return Streets(clearance, (-half, -half), height, ground, blocked, zone)
