"""Which ground is kept apart: streets and shadowed corners where no training trajectory ever goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OFF, OPEN, MARGIN, REGION, NLOS = range(5)  # no street of the sector; training; nobody; unseen region; unseen NLoS
MARGIN_M = 4.0  # between the open ground and what is held out
_REGION_TILE_M, _REGION_SHARE = 40.0, 0.12
_NLOS_TILE_M, _NLOS_SHARE = 25.0, 0.22
_MOSTLY = 0.5  # a tile of which more is blocked is none for `REGION`, or little NLoS would be left to train on
_LEAST_M2 = 60.0  # of one kind of ground in a tile that is worth holding out


def zones_of(
    free: NDArray[np.bool_], blocked: NDArray[np.bool_], cell_m: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Zones of a sector's ground.

    Whole square tiles are drawn at random: for `REGION`, of those mostly in view of the mast, until they hold 12 % of
    the ground; for `NLOS`, of what is left, the blocked cells of smaller tiles, until they hold 22 % of the blocked
    ground. Open ground closer than `MARGIN_M` to either becomes `MARGIN`, and so does the rim between the two.

    Args:
        free: `[rows, cols]` ground on which UEs may be.
        blocked: `[rows, cols]` cells that buildings hide from the mast.
        cell_m: edge of a cell.
    """
    zone = np.where(free, OPEN, OFF).astype(np.uint8)
    zone[_draw(free, free, _REGION_TILE_M / cell_m, _REGION_SHARE, cell_m, rng, avoid=blocked)] = REGION
    rim = _near(zone == REGION, cell_m)
    dark = free & blocked & (zone == OPEN) & ~rim
    zone[_draw(dark, free & blocked, _NLOS_TILE_M / cell_m, _NLOS_SHARE, cell_m, rng)] = NLOS
    rim |= _near(zone == NLOS, cell_m)
    zone[(zone == OPEN) & rim] = MARGIN
    return zone


def _near(cells: NDArray[np.bool_], cell_m: float) -> NDArray[np.bool_]:
    if not cells.any():
        return cells
    return np.asarray(ndimage.distance_transform_edt(~cells) * cell_m <= MARGIN_M)


def _draw(
    candidates: NDArray[np.bool_],
    all_of_kind: NDArray[np.bool_],
    tile: float,
    share: float,
    cell_m: float,
    rng: np.random.Generator,
    avoid: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    rows, cols = np.indices(candidates.shape)
    across = int(np.ceil(candidates.shape[1] / tile))
    number = (rows // tile).astype(int) * across + (cols // tile).astype(int)
    area = np.bincount(number[candidates], minlength=number.max() + 1) * cell_m**2
    if avoid is not None:
        hidden = np.bincount(number[candidates & avoid], minlength=len(area)) * cell_m**2
        area[hidden > _MOSTLY * area] = 0.0
    goal = share * all_of_kind.sum() * cell_m**2
    chosen: list[int] = []
    for tile_number in rng.permutation(np.flatnonzero(area >= _LEAST_M2)):
        if area[chosen].sum() + area[tile_number] <= 1.25 * goal:
            chosen.append(int(tile_number))
        if area[chosen].sum() >= goal:
            break
    return np.asarray(candidates & np.isin(number, chosen))
