"""The budget of a link: path loss from its paths, received power and noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bands import Band
from models.data.raytraced.frontend import LIGHT_MPS, TX_POWER_DBM, noise_dbm
from models.data.schema import Arrays
from service.contract.captures import CSI_SUBCARRIERS


def path_loss_db(arrays: Arrays, window_s: float = np.inf) -> NDArray[np.float64]:
    """Path loss of every link over all its paths, the gain of the site's element included.

    The powers of the paths are added: what is left is their mean over the band's fading.

    Args:
        arrays: with the columns `path_offset`, `path_gain`, `path_delay_s` and `blocker` of a shard.
        window_s: paths that arrive later do not count; `DELAY_WINDOW_S` leaves what the CSI is made of.

    Returns:
        float64 `[K, U, B]`, infinite where no path counts.
    """
    offset = arrays["path_offset"]
    power = np.square(arrays["path_gain"], dtype=np.float64).sum(-1)  # [P, B]
    power[arrays["path_delay_s"] > window_s] = 0
    total = np.stack([power[low:high].sum(0) for low, high in pairwise(offset)])
    loss = -10 * np.log10(total, out=np.full(total.shape, -np.inf), where=total > 0)
    return loss.reshape(*arrays["blocker"].shape, -1)


def noise_over_band_dbm(band: Band) -> float:
    """Noise of one antenna element over the whole band."""
    return noise_dbm(band) + 10 * float(np.log10(CSI_SUBCARRIERS))


def most_loss_db(band: Band) -> float:
    """Path loss at which a UE at full power is as strong as the noise of one antenna element."""
    return TX_POWER_DBM - noise_over_band_dbm(band)


def free_space_db(distance_m: NDArray[np.floating], band: Band) -> NDArray[np.float64]:
    """Path loss in free space between isotropic antennas."""
    return np.asarray(20 * np.log10(4 * np.pi * distance_m * band.carrier_hz / LIGHT_MPS))
