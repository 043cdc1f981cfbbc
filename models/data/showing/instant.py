"""One snapshot of a set as it was: the bodies, the UEs with their paths, and what every sensor saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bands import Band
from models.data.raytraced.bodies import KINDS, Body, Kind
from models.data.raytraced.frontend import Measured
from models.data.raytraced.lidar_image import STEP_M, lidar_points
from models.data.raytraced.paths import DELAY_WINDOW_S, Paths
from models.data.schema import Arrays
from models.data.shards import ShardSet
from models.data.showing.links import path_loss_db
from models.data.showing.plan import Plan, plan_of
from service.contract.sites import Site


class NotInSet(ValueError):
    """The set has no such site, episode, snapshot or UE; the message says what it has."""


@dataclass(frozen=True)
class Ue:
    """One UE at one instant, with P paths at B bands.

    Attributes:
        body: index of the body that carries it.
        antenna_m: `[3]` ENU.
        blocker: what the direct path meets first, index into `look.BLOCKER_NAMES`.
        zone: of the ground under it, see `raytraced.zones`.
        box_px: left, top, right, bottom in the camera frame; None where it cannot be seen.
        gain: complex64 `[P, B]`; no path is an outage.
        kind: uint8 `[P, 4]` interactions from site to UE.
        vertex_m: float32 `[P, 4, 3]` their points in ENU.
        csi_loss_db: float64 `[B]` path loss over the paths that the CSI is made of; infinite where there is none.
        csi: complex64 `[B, 32, 64]` the stored measurement.
        aoa_profile: float32 `[B, 64]`.
        distance_m, gain_db: float32 `[B]` measurements; no distance is nan.
    """

    number: int
    body: int
    body_kind: str
    antenna_m: NDArray[np.float32]
    blocker: int
    zone: int
    box_px: tuple[int, int, int, int] | None
    gain: NDArray[np.complex64]
    kind: NDArray[np.uint8]
    vertex_m: NDArray[np.float32]
    csi_loss_db: NDArray[np.float64]
    csi: NDArray[np.complex64]
    aoa_profile: NDArray[np.float32]
    distance_m: NDArray[np.float32]
    gain_db: NDArray[np.float32]


@dataclass(frozen=True)
class Instant:
    """A snapshot of M bodies.

    Attributes:
        purpose: what its episode is for.
        bodies: the cast, present or not.
        present: bool `[M]`.
        pose: float32 `[M, 3]` east m, north m, heading counter-clockwise from east in rad.
        velocity_mps: float32 `[M, 2]` east, north.
        ues: of those that transmit; none in an empty scene.
        camera: the JPEG file.
        lidar_range_m: float64 `[rings, columns]`, nan where nothing came back.
        lidar_intensity: uint8 `[rings, columns]`.
        lidar, radar: captures as in `service.contract.captures`.
        range_azimuth_db, range_doppler_db: float64 radar maps over noise, see `models.data.schema`.
    """

    plan: Plan
    bands: tuple[Band, ...]
    purpose: str
    episode: int
    snapshot: int
    time_s: float
    bodies: tuple[Body, ...]
    present: NDArray[np.bool_]
    pose: NDArray[np.float32]
    velocity_mps: NDArray[np.float32]
    ues: tuple[Ue, ...]
    camera: bytes
    lidar_range_m: NDArray[np.float64]
    lidar_intensity: NDArray[np.uint8]
    lidar: NDArray[np.float32]
    radar: NDArray[np.float32]
    range_azimuth_db: NDArray[np.float64]
    range_doppler_db: NDArray[np.float64]

    @property
    def site(self) -> Site:
        """The site."""
        return self.plan.site

    @property
    def array_m(self) -> NDArray[np.float64]:
        """Centre of the antenna array in ENU, `[3]`."""
        return np.array([0.0, 0.0, self.site.mast_height_m])

    def range_m(self, ue: Ue) -> float:
        """Slant range from the array to a UE."""
        return float(np.linalg.norm(ue.antenna_m - self.array_m))

    def kind(self, body: int) -> Kind:
        """The kind of a body."""
        return KINDS[self.bodies[body].kind]

    def footprint_m(self, body: int) -> NDArray[np.float64]:
        """The body from above: the corners of its bounding rectangle in ENU, `[4, 2]`."""
        length, width = self.kind(body).half_extent_m
        east, north, heading = self.pose[body].astype(float)
        c, s = np.cos(heading), np.sin(heading)
        local = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length, width]
        return local @ np.array([[c, s], [-s, c]]) + [east, north]


def bands_of(shards: ShardSet) -> tuple[Band, ...]:
    """The bands of a set."""
    return tuple(Band(**band) for band in shards.settings["bands"])


def sites_of(shards: ShardSet) -> tuple[str, ...]:
    """The sites of a set of which something has been built, in the order of the recipe."""
    return tuple(site for site in shards.recipe.sites if shards.episodes(site))


def read_instant(shards: ShardSet, site: str | None, episode: int | None, snapshot: int) -> Instant:
    """Read one snapshot, of the first site or episode there is where None is given. Raises `NotInSet`."""
    site, episode = _find(shards, site, episode)
    arrays = shards.read(site, episode)
    count = len(arrays["time_s"])
    if not 0 <= snapshot < count:
        raise NotInSet(f"--snapshot: expected 0 to {count - 1} in episode {episode} of {site}, got {snapshot}")
    steps, intensity = arrays["lidar_range"][snapshot], arrays["lidar_intensity"][snapshot]
    bodies = tuple(Body(**body) for body in shards.settings["cast"])
    return Instant(
        plan=plan_of(shards, site),
        bands=bands_of(shards),
        purpose=str(shards.settings["purposes"][site][episode]),
        episode=episode,
        snapshot=snapshot,
        time_s=float(arrays["time_s"][snapshot]),
        bodies=bodies,
        present=arrays["present"].astype(bool),
        pose=arrays["pose"][snapshot],
        velocity_mps=arrays["velocity_mps"][snapshot],
        ues=_ues(arrays, snapshot, bodies),
        camera=_part(arrays, "camera", snapshot).tobytes(),
        lidar_range_m=np.where(steps > 0, steps * STEP_M, np.nan),
        lidar_intensity=intensity,
        lidar=lidar_points(steps, intensity, shards.site(site)),
        radar=_part(arrays, "radar", snapshot),
        range_azimuth_db=arrays["radar_range_azimuth"][snapshot] / 2,
        range_doppler_db=arrays["radar_range_doppler"][snapshot] / 2,
    )


def ue_of(instant: Instant, number: int) -> Ue | None:
    """One UE of a snapshot by its number, None in an empty scene. Raises `NotInSet`."""
    found = [ue for ue in instant.ues if ue.number == number]
    if not found and instant.ues:
        numbers = ", ".join(str(ue.number) for ue in instant.ues)
        raise NotInSet(f"--ue: expected one of {numbers} in episode {instant.episode}, got {number}")
    return found[0] if found else None


def _find(shards: ShardSet, site: str | None, episode: int | None) -> tuple[str, int]:
    sites = sites_of(shards)
    if not sites:
        raise NotInSet(f"{shards.folder}: expected at least one built episode, got none; run models.data.build")
    if site is not None and site not in sites:
        raise NotInSet(f"--site of {shards.folder}: expected one of {', '.join(sites)}, got {site!r}")
    where = site or sites[0]
    built = shards.episodes(where)
    if episode is not None and episode not in built:
        raise NotInSet(
            f"--episode of {shards.folder}: expected one of the {len(built)} episodes of {where} ({_span(built)}), "
            f"got {episode}"
        )
    return where, built[0] if episode is None else episode


def _ues(arrays: Arrays, snapshot: int, bodies: tuple[Body, ...]) -> tuple[Ue, ...]:
    paths = Paths.of(arrays)
    count = len(arrays["ue_body"])
    csi = Measured(arrays["csi_levels"][snapshot], arrays["csi_scale"][snapshot]).csi()
    loss_db = path_loss_db(arrays, DELAY_WINDOW_S)[snapshot]
    ues = []
    for number in np.flatnonzero(arrays["ue_present"]):
        body = int(arrays["ue_body"][number])
        rows = slice(*paths.offset[snapshot * count + number : snapshot * count + number + 2])
        box = tuple(int(v) for v in arrays["box_px"][snapshot, number])
        ues.append(
            Ue(
                number=int(number), body=body, body_kind=bodies[body].kind,
                antenna_m=arrays["ue_position_m"][snapshot, number],
                blocker=int(arrays["blocker"][snapshot, number]), zone=int(arrays["zone"][snapshot, number]),
                box_px=box if box[0] >= 0 else None, gain=paths.gain[rows], kind=paths.kind[rows],
                vertex_m=paths.vertex_m[rows], csi_loss_db=loss_db[number], csi=csi[number],
                aoa_profile=arrays["aoa_profile"][snapshot, number].astype(np.float32),
                distance_m=arrays["distance_m"][snapshot, number], gain_db=arrays["gain_db"][snapshot, number],
            )
        )  # fmt: skip
    return tuple(ues)


def _part(arrays: Arrays, name: str, snapshot: int) -> NDArray[np.generic]:
    low, high = arrays[f"{name}_offset"][snapshot : snapshot + 2]
    return arrays[name][low:high]


def _span(numbers: list[int]) -> str:
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else f"from {numbers[0]} to {numbers[-1]}, with gaps"
