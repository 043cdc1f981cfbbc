"""One snapshot of a set as it was: the bodies, the UEs, and what every sensor saw."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body, Kind
from models.data.raytraced.frontend import TX_POWER_DBM
from models.data.raytraced.layouts import LAYOUTS, Layout
from models.data.raytraced_set import captures, measured_csi
from models.data.shards import Arrays, ShardSet
from service.contract.sites import Site


class NotInSet(ValueError):
    """The set has no such layout, episode, snapshot or UE; the message says what it has."""


@dataclass(frozen=True)
class Ue:
    """One UE at one instant.

    Attributes:
        body: index of the body that carries it.
        antenna_m: `[3]` ENU.
        blocker: what the direct path meets first, see `raytraced.channel`.
        paths: that the ray tracer found; 0 is an outage.
        power_dbm: received by one antenna element over the whole band, minus infinity in an outage.
        csi: complex64 `[32, 64]` the stored measurement.
    """

    number: int
    body: int
    kind: str
    antenna_m: NDArray[np.float32]
    blocker: int
    paths: int
    power_dbm: float
    csi: NDArray[np.complex64]


@dataclass(frozen=True)
class Instant:
    """A snapshot of M bodies and U UEs.

    Attributes:
        bodies: the cast, present or not.
        present: bool `[M]`.
        pose: float32 `[M, 3]` east m, north m, heading counter-clockwise from east in rad.
        velocity_mps: float32 `[M, 2]` east, north.
        camera: the JPEG file.
        lidar, radar: captures as in `service.contract.captures`.
    """

    layout: Layout
    episode: int
    snapshot: int
    time_s: float
    bodies: tuple[Body, ...]
    present: NDArray[np.bool_]
    pose: NDArray[np.float32]
    velocity_mps: NDArray[np.float32]
    ues: tuple[Ue, ...]
    camera: bytes
    lidar: NDArray[np.float32]
    radar: NDArray[np.float32]

    @property
    def site(self) -> Site:
        """The site of the layout."""
        return self.layout.site

    def range_m(self, ue: Ue) -> float:
        """Slant range from the array to a UE."""
        return float(np.linalg.norm(ue.antenna_m - [0.0, 0.0, self.site.mast_height_m]))

    def kind(self, body: int) -> Kind:
        """The kind of a body."""
        return KINDS[self.bodies[body].kind]

    def corners_m(self, body: int) -> NDArray[np.float64]:
        """Corners of a body's mesh in ENU, `[V, 3]`."""
        local, _ = self.kind(body).mesh()
        return np.column_stack([self._placed(body, local[:, :2]), local[:, 2]])

    def footprint_m(self, body: int) -> NDArray[np.float64]:
        """The body from above: the corners of its bounding rectangle in ENU, `[4, 2]`."""
        length, width = self.kind(body).half_extent_m
        return self._placed(body, np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length, width])

    def _placed(self, body: int, local: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north, heading = self.pose[body].astype(float)
        c, s = np.cos(heading), np.sin(heading)
        return local @ np.array([[c, s], [-s, c]]) + [east, north]


def layout_of(shards: ShardSet) -> Layout:
    """The layout that a set was built in, with the site as it was then. Raises `NotInSet` for an unknown one."""
    name = str(shards.settings["layout"])
    if name not in LAYOUTS:
        raise NotInSet(f"{shards.folder}: expected a set of layout {' or '.join(sorted(LAYOUTS))}, got {name!r}")
    return replace(LAYOUTS[name], site=Site.from_json(dict(shards.settings["site"])))


def power_dbm(gain: NDArray[np.floating]) -> NDArray[np.float64]:
    """Received power per antenna element over the whole band.

    Args:
        gain: `[..., 32, 64, 2]` clean amplitude gain, real and imaginary, from a UE at full power.

    Returns:
        float64 `[...]` dBm, minus infinity where there is no path at all.
    """
    mean = np.square(gain, dtype=np.float64).sum(-1).mean((-2, -1))
    return TX_POWER_DBM + 10 * np.log10(mean, out=np.full(mean.shape, -np.inf), where=mean > 0)


def read_instant(shards: ShardSet, episode: int, snapshot: int) -> Instant:
    """Read one snapshot. Raises `NotInSet` where the set has no such episode or snapshot."""
    built = shards.episodes()
    if episode not in built:
        have = f"one of its {len(built)} episodes ({_span(built)})" if built else "it to have an episode, it has none"
        raise NotInSet(f"--episode of {shards.folder}: expected {have}, got {episode}")
    arrays = shards.read(episode)
    count = len(arrays["time_s"])
    if not 0 <= snapshot < count:
        raise NotInSet(f"--snapshot: expected 0 to {count - 1} in episode {episode}, got {snapshot}")
    bodies = tuple(Body(**body) for body in shards.settings["cast"])
    return Instant(
        layout=layout_of(shards),
        episode=episode,
        snapshot=snapshot,
        time_s=float(arrays["time_s"][snapshot]),
        bodies=bodies,
        present=arrays["present"].astype(bool),
        pose=arrays["pose"][snapshot],
        velocity_mps=arrays["velocity_mps"][snapshot],
        ues=_ues(arrays, snapshot, bodies),
        camera=captures(arrays, "camera")[snapshot].tobytes(),
        lidar=captures(arrays, "lidar")[snapshot],
        radar=captures(arrays, "radar")[snapshot],
    )


def ue_of(instant: Instant, number: int) -> Ue:
    """One UE of a snapshot by its number. Raises `NotInSet`."""
    if not 0 <= number < len(instant.ues):
        raise NotInSet(f"--ue: expected 0 to {len(instant.ues) - 1} in episode {instant.episode}, got {number}")
    return instant.ues[number]


def _ues(arrays: Arrays, snapshot: int, bodies: tuple[Body, ...]) -> tuple[Ue, ...]:
    power = power_dbm(arrays["csi_gain"][snapshot])
    csi = measured_csi(arrays)[snapshot]
    return tuple(
        Ue(
            number=number, body=int(body), kind=bodies[body].kind, antenna_m=arrays["ue_position_m"][snapshot, number],
            blocker=int(arrays["blocker"][snapshot, number]), paths=int(arrays["paths"][snapshot, number]),
            power_dbm=float(power[number]), csi=csi[number],
        )
        for number, body in enumerate(arrays["ue_body"])
    )  # fmt: skip


def _span(numbers: list[int]) -> str:
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else f"from {numbers[0]} to {numbers[-1]}, with gaps"
