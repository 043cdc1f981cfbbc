"""The ray tracer and the sensors that use it, against formulas and against rays cast in plain NumPy."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from models.data.build import CAST, main
from models.data.raytraced.bodies import Body
from models.data.raytraced.layouts import MUNICH
from models.data.raytraced_set import captures, load, measured_csi
from models.data.shards import Arrays, ShardSet
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, distance
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced import optics
from models.data.raytraced.channel import BUILDING, CLEAR, PERSON, VEHICLE, ChannelSolver
from models.data.raytraced.radar import radar_scan
from models.data.raytraced.recorder import survey
from models.data.raytraced.streets import Streets
from models.data.raytraced.world import CITY, World
from tests.models.data.raytraced.triangles import Triangles

SITE = MUNICH.site
SPEED_OF_LIGHT_MPS = 299_792_458.0
BUS, BLOCKER = 0, 1  # the cast of `world`
NOWHERE = np.zeros((2, 3)), np.zeros(2, bool)
SOLVED = 8  # terminals of `solver`


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built set of two episodes."""
    folder = tmp_path_factory.mktemp("built") / "set"
    assert main(["--profile", "sample", "--out", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="module")
def episode(built: Path) -> Arrays:
    return ShardSet.open(built).read(0)


@pytest.fixture(scope="module")
def world() -> World:
    """Munich with a bus and a person."""
    return World(MUNICH, (Body("bus", carries_ue=False), Body("person", carries_ue=False)))


@pytest.fixture(scope="module")
def solver(world: World) -> ChannelSolver:
    return ChannelSolver(world, SOLVED)


@pytest.fixture(scope="module")
def streets(world: World) -> Streets:
    return survey(world)


@pytest.fixture(scope="module")
def spot(world: World, streets: Streets) -> NDArray[np.float64]:
    """ENU `[2]` of open street 50 to 80 m in front of the mast, in its sight, with room for a bus around it."""
    triangles = Triangles.of(world, *NOWHERE)
    for row, col in np.argwhere(streets.clearance_m > 9):
        enu = np.array([col, row]) + 0.5 + streets.west_south_m
        forward, left = SITE.to_mast(enu)
        if 50 < forward < 80 and 15 < left < 25:  # not straight ahead, so that left and right can be told apart
            clear = [triangles.first_hit(*_ray_to([*(enu + aside), 1.5]))[0] > 0.95 for aside in _around(8.0)]
            if all(clear):
                return enu
    raise AssertionError("no open street in sight of the mast")


def _around(radius_m: float) -> list[NDArray[np.float64]]:
    return [radius_m * np.array([math.cos(a), math.sin(a)]) for a in np.arange(8) * math.pi / 4]


def _ray_to(enu: list[float] | NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Origin and direction of the ray from the sensors to a point; the point is at distance 1."""
    return MUNICH.sensor_m, MUNICH.to_scene(np.array(enu)) - MUNICH.sensor_m


def _high_above() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Terminals over the roofs, where nothing comes close to the direct path: mast frame and ENU, both `[8, 3]`."""
    azimuth, reach = np.radians(np.linspace(-50, 50, SOLVED)), np.linspace(40, 150, SOLVED)
    up = np.linspace(45, 90, SOLVED)
    mast = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), up], 1)
    return mast, np.concatenate([SITE.to_enu(mast[:, :2]), up[:, None]], 1)


def _spherical(mast: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Azimuth and elevation in rad, and distance, seen from the array."""
    x, y, z = (mast - [0, 0, SITE.mast_height_m]).T
    return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), np.sqrt(x**2 + y**2 + z**2)


def test_build_gives_the_same_bytes_again_whatever_was_built_before(built: Path, tmp_path: Path) -> None:
    assert main(["--profile", "sample", "--out", str(tmp_path), "--shard", "1", "--shards", "2", "--json"]) == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["episode-00001.safetensors", "set.json"]
    assert (tmp_path / "set.json").read_bytes() == (built / "set.json").read_bytes()
    first, again = (ShardSet.open(folder).read(1) for folder in (built, tmp_path))
    assert set(first) == set(again)
    for name, values in first.items():
        assert values.dtype == again[name].dtype
        assert values.tobytes() == again[name].tobytes(), name


def test_built_set_is_what_training_loads(built: Path, episode: Arrays) -> None:
    data = load(built, "train", quiet=True)
    assert data.gain.shape == data.csi.shape == (2, 3, 16, 32, 64)
    assert data.site == SITE
    assert np.isfinite(data.gain).all()
    ground_m = np.hypot(*np.moveaxis(data.position_m, -1, 0))
    assert MUNICH.range_m[0] - 1 < ground_m.min() < ground_m.max() < MUNICH.range_m[1] + 1
    # The receiver measures the clean channel: with its phase and timing undone by the correlation over the antennas.
    clean, seen = data.gain[0], data.csi[0]
    strong = 10 * np.log10((np.abs(seen.astype(np.complex128)) ** 2).mean((-2, -1))) > -85
    alike = np.abs((seen * clean.conj()).sum(-2)) / np.linalg.norm(seen, axis=-2) / np.linalg.norm(clean, axis=-2)
    assert strong.sum() > 20
    assert np.median(alike[strong]) > 0.98


def test_line_of_sight_is_what_an_independent_ray_sees(world: World, episode: Arrays) -> None:
    other = _with_cast_of_the_build(world)
    kinds = [PERSON if body.kind == "person" else VEHICLE for body in CAST]
    for k in range(3):
        triangles = Triangles.of(other, episode["pose"][k].astype(np.float64), episode["present"].astype(bool))
        for enu, blocker in zip(episode["ue_position_m"][k], episode["blocker"][k], strict=True):
            at, owner = triangles.first_hit(*_ray_to(enu))
            expected = CLEAR if at > 1 - 1e-5 else BUILDING if owner == CITY else kinds[owner]
            assert blocker == expected
    assert len(np.unique(episode["blocker"])) > 1


def _with_cast_of_the_build(world: World) -> World:
    """The same city seen with the cast of the build; only its triangles are asked for."""
    other = object.__new__(World)
    other.layout, other.bodies, other.scene = world.layout, CAST, world.scene
    return other


def test_clear_link_has_the_gain_of_free_space(world: World, solver: ChannelSolver) -> None:
    mast, enu = _high_above()
    world.place(*NOWHERE)
    csi = solver.solve(enu, seed=1).csi.astype(np.complex128)
    azimuth, elevation, reach = _spherical(mast)
    # 3GPP TR 38.901 table 7.3-1: 8 dBi, 65 degrees, 30 dB.
    vertical, horizontal = (np.minimum(12 * (np.degrees(angle) / 65) ** 2, 30) for angle in (elevation, azimuth))
    element_db = 8 - np.minimum(vertical + horizontal, 30)
    friis_db = 20 * np.log10(SPEED_OF_LIGHT_MPS / SITE.carrier_hz / (4 * np.pi * reach)) + element_db
    # The direct path alone: in phase at its own delay, with a window against the others.
    frequency_hz = (np.arange(64) - 32) * SITE.bandwidth_hz / 64
    window = np.hanning(66)[1:-1]
    turn = np.exp(2j * np.pi * frequency_hz * (reach / SPEED_OF_LIGHT_MPS)[:, None, None])
    direct_db = 20 * np.log10(np.abs((csi * turn * window).sum(-1) / window.sum()).mean(1))
    np.testing.assert_allclose(direct_db, friis_db, atol=0.1)


def test_clear_link_arrives_from_where_the_terminal_is_when_it_should(world: World, solver: ChannelSolver) -> None:
    mast, enu = _high_above()
    world.place(*NOWHERE)
    csi = solver.solve(enu, seed=1).csi
    azimuth, elevation, reach = _spherical(mast)
    sine = np.sin(azimuth) * np.cos(elevation)
    delay_s = 100 * distance(csi, SITE.bandwidth_hz)[:, 0] / SPEED_OF_LIGHT_MPS
    np.testing.assert_allclose(delay_s, reach / SPEED_OF_LIGHT_MPS, atol=0.2e-9)
    np.testing.assert_allclose((aoa_profile(csi).argmax(1) - 32) / 32, sine, atol=1 / 32)
    for planes, u, up, away in zip(csi_planes(csi), sine, np.sin(elevation), reach, strict=True):
        beam, row, col = np.unravel_index(planes[:4].argmax(), (4, 32, 64))
        assert (row - 16) / 16 == pytest.approx(u, abs=1 / 16)
        assert col == pytest.approx(away / SPEED_OF_LIGHT_MPS * SITE.bandwidth_hz, abs=0.75)
        assert -1 + 0.5 * beam == pytest.approx(up, abs=0.3)  # row 0 is the lowest


def test_body_in_the_way_blocks_the_link_and_gives_it_free_again(
    world: World, solver: ChannelSolver, spot: NDArray[np.float64]
) -> None:
    heading = math.atan2(spot[1], spot[0]) + math.pi / 2  # broadside on
    antenna = np.tile([*spot, 1.5], (SOLVED, 1))
    towards = spot / np.hypot(*spot)
    places = np.array([[*(spot - 2.5 * towards), heading], [*(spot - 0.4 * towards), heading]])
    gain_db, blockers = {}, {}
    for name, present in (("none", (0, 0)), ("bus", (1, 0)), ("person", (0, 1)), ("none again", (0, 0))):
        world.place(places, np.array(present, bool))
        channels = solver.solve(antenna, seed=1)
        blockers[name] = set(channels.blocker.tolist())
        gain_db[name] = 10 * np.log10((np.abs(channels.csi.astype(np.complex128)) ** 2).mean())
    assert blockers == {"none": {CLEAR}, "bus": {VEHICLE}, "person": {PERSON}, "none again": {CLEAR}}
    assert gain_db["none again"] == pytest.approx(gain_db["none"], abs=1e-3)
    assert max(gain_db["bus"], gain_db["person"]) < gain_db["none"] - 3


def test_terminal_behind_a_house_is_blocked_by_a_building(
    world: World, solver: ChannelSolver, streets: Streets
) -> None:
    row, col = np.argwhere(streets.height_m > 15)[0]
    inside = np.array([col, row]) + 0.5 + streets.west_south_m
    world.place(*NOWHERE)
    assert set(solver.solve(np.tile([*inside, 1.5], (SOLVED, 1)), seed=1).blocker.tolist()) == {BUILDING}


def test_survey_knows_the_height_of_what_stands_there(world: World, streets: Streets) -> None:
    triangles = Triangles.of(world, *NOWHERE)
    rng = np.random.default_rng(0)
    for row, col in rng.integers(0, min(streets.height_m.shape), (60, 2)):
        enu = np.array([*(np.array([col, row]) + 0.5 + streets.west_south_m), 300.0])
        down, _ = triangles.first_hit(MUNICH.to_scene(enu), np.array([0.0, 0.0, -1.0]))
        assert streets.height_m[row, col] == pytest.approx(300 - down, abs=0.01)


def test_lidar_returns_lie_on_the_first_surface_in_their_direction(world: World, spot: NDArray[np.float64]) -> None:
    pose = np.array([[*spot, 0.3], [spot[0] + 7.0, spot[1], 0.0]])
    world.place(pose, np.ones(2, bool))
    points = optics.lidar_sweep(world, np.random.default_rng(0)).astype(np.float64)
    triangles = Triangles.of(world, pose, np.ones(2, bool))
    anywhere = points[np.random.default_rng(1).choice(len(points), 100, replace=False)]
    around = points[np.hypot(*(points[:, :2] - spot).T) < 9]
    for some in (anywhere, around):
        error = _range_errors(some, triangles)
        grazing = np.abs(error) > 6 * optics.LIDAR_NOISE_M  # rays are rounded to float32: an edge may be missed
        assert grazing.sum() <= 2
        assert error[~grazing].std() == pytest.approx(optics.LIDAR_NOISE_M, rel=0.3)
    assert np.linalg.norm(points[:, :3] - [0, 0, SITE.mast_height_m], axis=1).max() < SITE.range_max_m + 0.1
    left = np.degrees(np.arctan2(*SITE.to_mast(points[:, :2]).T[::-1]))
    assert np.abs(left).max() <= optics.LIDAR_HFOV_DEG / 2 + 0.1
    assert points[:, 3].min() >= 0
    assert points[:, 3].max() <= 1
    assert set(points[:, 4].astype(int)) <= set(range(optics.LIDAR_RINGS))
    on_bus = np.hypot(*(points[:, :2] - spot).T) < 6.1
    assert points[on_bus, 2].max() == pytest.approx(3.2, abs=0.1)  # its roof


def _range_errors(points: NDArray[np.float64], triangles: Triangles) -> NDArray[np.float64]:
    """How much farther than the first surface in its direction each LiDAR return is, in m."""
    away = points[:, :3] - [0, 0, SITE.mast_height_m]
    reach = np.linalg.norm(away, axis=1)
    return reach - [triangles.first_hit(MUNICH.sensor_m, d / r)[0] for d, r in zip(away, reach, strict=True)]


def test_snapshots_of_an_episode_show_the_bodies_where_they_are_by_then(world: World, episode: Arrays) -> None:
    other = _with_cast_of_the_build(world)
    pose, present = episode["pose"].astype(np.float64), episode["present"].astype(bool)
    moved = present & (np.hypot(*(pose[2] - pose[0])[:, :2].T) > 4)
    assert moved.sum() >= 3
    points = captures(episode, "lidar")[2].astype(np.float64)
    near = np.hypot(*(points[:, None, :2] - pose[2, moved, :2]).transpose(2, 0, 1)).min(1) < 3
    error = _range_errors(points[near][:150], Triangles.of(other, pose[2], present))
    assert (np.abs(error) < 0.15).mean() > 0.97


@pytest.mark.parametrize("speed_mps", [-8.0, 8.0], ids=["approaching", "receding"])
def test_radar_sees_a_bus_where_it_is_and_which_way_it_goes(
    world: World, spot: NDArray[np.float64], speed_mps: float
) -> None:
    towards = spot / np.hypot(*spot)
    world.place(np.array([[*spot, math.atan2(*towards[::-1])], [0, 0, 0]]), np.array([True, False]))
    velocity = np.array([speed_mps * towards, [0, 0]])
    scan = radar_scan(world, velocity, np.random.default_rng(0)).astype(np.float64)
    near = np.hypot(*(scan[:, 1:3] - spot).T) < 9
    moving = np.abs(scan[:, 4]) > 2
    assert (near & moving).sum() >= 3
    assert (moving & ~near).sum() == 0
    # What a radar sees is the speed along its ray, which also falls by the height of the mast.
    radial = speed_mps * np.hypot(*spot) / np.hypot(np.hypot(*spot), SITE.mast_height_m - 1.6)
    assert np.median(scan[near & moving, 4]) == pytest.approx(radial, abs=0.4)
    assert scan[:, 0].min() >= 0
    assert scan[:, 0].max() <= np.float32(SITE.radar_window_s)
    assert scan[:, 5].min() >= 13  # dB, the threshold of detection
    assert np.linalg.norm(scan[:, 1:4] - [0, 0, SITE.mast_height_m], axis=1).max() < SITE.range_max_m + 3


def test_camera_shows_a_bus_where_it_is(world: World, spot: NDArray[np.float64]) -> None:
    light = optics.Light.draw(2, np.random.default_rng(0))
    light = replace(light, paint=np.full((2, 3), 0.95), exposure=1.0)
    pose = np.array([[*spot, 0.3], [0, 0, 0]])
    pictures = []
    for present in (False, True):
        world.place(pose, np.array([present, False]))
        jpeg = optics.camera_jpeg(world, light, np.random.default_rng(1))
        pictures.append(simplejpeg.decode_jpeg(jpeg).astype(float))
    assert pictures[0].shape == (160, 320, 3)
    assert pictures[0].std() > 10
    row, col = np.argwhere(np.abs(pictures[1] - pictures[0]).max(-1) > 40).T
    assert len(row) > 30
    # A pinhole, pitched down: where the middle of the bus must be.
    forward, left = SITE.to_mast(spot)
    up = 1.6 - SITE.mast_height_m
    c, s = (f(math.radians(optics.CAMERA_PITCH_DEG)) for f in (math.cos, math.sin))
    depth, height = c * forward + s * up, c * up - s * forward
    per_pixel = math.tan(math.radians(optics.CAMERA_HFOV_DEG / 2)) / 160
    assert np.median(col) == pytest.approx(160 - left / depth / per_pixel, abs=12)
    assert np.median(row) == pytest.approx(80 - height / depth / per_pixel, abs=8)


def test_sensors_are_reproducible(episode: Arrays, built: Path) -> None:
    again = ShardSet.open(built).read(0)
    assert [simplejpeg.decode_jpeg(part.tobytes()).shape for part in captures(again, "camera")] == [(160, 320, 3)] * 3
    assert measured_csi(again).shape == (3, 16, 32, 64)
    for name in ("lidar", "radar"):
        assert all(len(part) > 50 for part in captures(again, name))
        assert np.isfinite(again[name]).all()


def test_site_without_an_array_has_no_channels(world: World) -> None:
    deaf = object.__new__(World)
    deaf.layout = replace(MUNICH, site=replace(SITE, carrier_hz=None))
    with pytest.raises(ValueError, match=r"munich.*array"):
        ChannelSolver(deaf, 1)


def test_rays_to_the_ground_meet_it_at_equal_steps() -> None:
    rings = optics.ground_rings(SITE, 16.0, 190.0, 44)
    reach = SITE.mast_height_m / np.tan(-rings)
    np.testing.assert_allclose(np.diff(reach), (190 - 16) / 43)
    rays = SITE.to_mast(optics.fan(SITE, np.radians([60.0, 0.0, -60.0]), rings))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    np.testing.assert_allclose(np.degrees(np.arctan2(rays[:3, 1], rays[:3, 0])), [60, 0, -60], atol=1e-9)
    np.testing.assert_allclose(rays[::3, 2], np.sin(rings))
