"""A recorded episode: what its columns say of each other and of the world."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from models.data.raytraced import zones
from models.data.raytraced.bands import BANDS
from models.data.raytraced.bodies import KINDS
from models.data.raytraced.frontend import Measured, noise_dbm
from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.lidar_image import lidar_points
from models.data.raytraced.paths import Paths, synthesise
from models.data.recipe import RECIPES
from models.data.schema import Arrays, check
from service.normalizers.cues import aoa_profile
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced.channel import BUILDING, CLEAR, PERSON, VEHICLE
from models.data.raytraced.recorder import Recorder
from models.data.raytraced.world import CITY
from tests.models.data.raytraced.triangles import Triangles

RECIPE = RECIPES["sample"]
MUNICH = LAYOUTS["munich"]
SITE = MUNICH.site
TRAIN, EMPTY = (RECIPE.purposes("munich").index(purpose) for purpose in ("train", "empty"))


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder("munich", RECIPE)


@pytest.fixture(scope="module")
def episode(recorder: Recorder) -> Arrays:
    return recorder.record(TRAIN)


@pytest.fixture(scope="module")
def empty(recorder: Recorder) -> Arrays:
    return recorder.record(EMPTY)


def _triangles(recorder: Recorder, episode: Arrays, k: int) -> Triangles:
    pose = episode["pose"][k].astype(np.float64)
    ground_m = recorder.streets.ground_at(pose[:, :2])
    return Triangles.of(recorder.world, pose, ground_m, episode["present"].astype(bool))


def _clean(episode: Arrays, band: int) -> NDArray[np.complex64]:
    shape = episode["csi_scale"].shape[:2]
    return synthesise(Paths.of(episode), band, BANDS[band].bandwidth_hz, SITE).reshape(*shape, 32, 64)


def _csi(episode: Arrays, band: int) -> NDArray[np.complex64]:
    return Measured(episode["csi_levels"][:, :, band], episode["csi_scale"][:, :, band]).csi()


def test_episodes_have_the_columns_of_the_schema(episode: Arrays, empty: Arrays) -> None:
    for arrays in (episode, empty):
        sizes = check(arrays)
        assert (sizes["K"], sizes["U"], sizes["B"]) == (3, 24, 3)
    assert episode["time_s"].tolist() == pytest.approx([0, 0.1, 0.2])


def test_line_of_sight_is_what_an_independent_ray_sees(recorder: Recorder, episode: Arrays) -> None:
    kinds = [PERSON if body.kind in ("person", "bicycle") else VEHICLE for body in RECIPE.bodies]
    for k in range(3):
        triangles = _triangles(recorder, episode, k)
        for u in np.flatnonzero(episode["ue_present"]):
            away = MUNICH.to_scene(episode["ue_position_m"][k, u]) - MUNICH.sensor_m
            reach = np.linalg.norm(away)
            at, owner = triangles.first_hit(MUNICH.sensor_m, away / reach)
            expected = CLEAR if at > reach - 2e-3 else BUILDING if owner == CITY else kinds[owner]
            assert episode["blocker"][k, u] == expected
    assert len(np.unique(episode["blocker"])) > 1


def test_terminals_stand_in_the_open_and_in_their_zone(recorder: Recorder, episode: Arrays) -> None:
    there = episode["ue_present"].astype(bool)
    assert (episode["zone"][:, there] == zones.OPEN).all()
    points = episode["ue_position_m"][:, there].reshape(-1, 3).astype(np.float64)
    for k in range(3):
        triangles = _triangles(recorder, episode, k)
        for enu in episode["ue_position_m"][k, there]:
            up, _ = triangles.first_hit(MUNICH.to_scene(enu), np.array([0.0, 0.0, 1.0]))
            assert not np.isfinite(up)  # under the open sky, so in no house and in no other body
    np.testing.assert_array_equal(recorder.streets.at(recorder.streets.zone, points[:, :2]), zones.OPEN)


def test_velocities_are_how_positions_change(episode: Arrays) -> None:
    there = episode["present"].astype(bool)
    moved = np.diff(episode["pose"][..., :2], axis=0)[:, there] / 0.1
    mean = (episode["velocity_mps"][1:, there] + episode["velocity_mps"][:-1, there]) / 2
    assert np.abs(moved - mean).max() < 0.5  # along curves
    carriers = episode["ue_body"]
    np.testing.assert_array_equal(episode["ue_velocity_mps"], episode["velocity_mps"][:, carriers])
    assert (np.hypot(*np.moveaxis(episode["ue_velocity_mps"], -1, 0)) > 1).any()


def test_direct_paths_belong_to_terminals_in_sight_and_reach_them(episode: Arrays) -> None:
    paths = Paths.of(episode)
    owner = np.repeat(np.arange(paths.links), np.diff(paths.offset))
    direct = (paths.kind == 0).all(1)
    clear = (episode["blocker"] == CLEAR) & episode["ue_present"].astype(bool)
    assert set(owner[direct].tolist()) == set(np.flatnonzero(clear.ravel()).tolist())
    away = episode["ue_position_m"].reshape(-1, 3)[owner[direct]] - [0, 0, SITE.mast_height_m]
    np.testing.assert_allclose(paths.delay_s[direct] * 299_792_458, np.linalg.norm(away, axis=1), atol=0.03)
    rate = (away[:, :2] * episode["ue_velocity_mps"].reshape(-1, 2)[owner[direct]]).sum(1)
    np.testing.assert_allclose(paths.rate_mps[direct], rate / np.linalg.norm(away, axis=1), atol=1e-3)
    assert (np.diff(paths.delay_s) >= 0)[np.diff(owner) == 0].all()


@pytest.mark.parametrize("band", range(3), ids=[band.name for band in BANDS])
def test_measured_csi_is_the_clean_channel_turned_and_shifted_in_noise(episode: Arrays, band: int) -> None:
    clean, seen = _clean(episode, band), _csi(episode, band)
    power_dbm = 10 * np.log10((np.abs(seen.astype(np.complex128)) ** 2).mean((-2, -1)))
    np.testing.assert_allclose(episode["gain_db"][..., band], power_dbm, atol=0.01)
    strong = power_dbm > noise_dbm(BANDS[band]) + 15
    # A phase and a timing offset of the frame are undone by the correlation over the antennas.
    alike = np.abs((seen * clean.conj()).sum(-2)) / np.linalg.norm(seen, axis=-2) / np.linalg.norm(clean, axis=-2)
    assert strong.sum() > 15
    assert np.median(alike[strong]) > 0.97
    sent_dbm = 23 - 10 * np.log10(64) + 10 * np.log10((np.abs(clean[strong].astype(np.complex128)) ** 2).mean((-2, -1)))
    np.testing.assert_allclose(power_dbm[strong], sent_dbm, atol=0.5)
    profile = aoa_profile(seen.reshape(-1, 32, 64)).reshape(*power_dbm.shape, 64)
    np.testing.assert_allclose(episode["aoa_profile"][..., band, :], profile, atol=1e-3)


def test_distances_are_those_of_terminals_in_sight(episode: Arrays) -> None:
    reach = np.linalg.norm(episode["ue_position_m"] - [0, 0, SITE.mast_height_m], axis=-1)
    clear = (episode["blocker"] == CLEAR) & episode["ue_present"].astype(bool)
    for band in range(len(BANDS)):
        error = (episode["distance_m"][..., band] - reach)[clear]
        assert abs(np.nanmedian(error)) < 0.4
        assert np.nanmedian(np.abs(error)) < 0.8
        assert np.isfinite(error).mean() > 0.95


def test_boxes_belong_to_terminals_that_the_camera_can_see(episode: Arrays) -> None:
    seen = episode["box_share"] > 0
    np.testing.assert_array_equal(seen, (episode["box_px"] >= 0).all(-1))
    left, top, right, bottom = np.moveaxis(episode["box_px"][seen].astype(int), -1, 0)
    assert ((left < right) & (top < bottom) & (right <= 320) & (bottom <= 160)).all()
    assert (episode["box_share"][seen] <= (right - left) * (bottom - top) / (160 * 320) * 1.001).all()
    clear = (episode["blocker"] == CLEAR) & episode["ue_present"].astype(bool)
    assert seen[clear].mean() > seen[episode["blocker"] == BUILDING].mean()


def test_snapshots_show_the_bodies_where_they_are_by_then(recorder: Recorder, episode: Arrays) -> None:
    pose, present = episode["pose"].astype(np.float64), episode["present"].astype(bool)
    fast = present & (np.hypot(*episode["velocity_mps"][2].T) > 3)
    points = lidar_points(episode["lidar_range"][2], episode["lidar_intensity"][2], SITE).astype(np.float64)
    near = np.hypot(*(points[:, None, :2] - pose[2, fast, :2]).transpose(2, 0, 1)).min(1, initial=99) < 3
    assert near.sum() > 20
    triangles = _triangles(recorder, episode, 2)
    away = points[near][:150, :3] - [0, 0, SITE.mast_height_m]
    reach = np.linalg.norm(away, axis=1)
    expected = [triangles.first_hit(MUNICH.sensor_m, d / r)[0] for d, r in zip(away, reach, strict=True)]
    assert (np.abs(reach - expected) < 0.15).mean() > 0.97


def test_every_sensor_delivers_in_every_snapshot(episode: Arrays, empty: Arrays) -> None:
    for arrays in (episode, empty):
        for k in range(3):
            low, high = arrays["camera_offset"][k : k + 2]
            assert simplejpeg.decode_jpeg(arrays["camera"][low:high].tobytes()).shape == (160, 320, 3)
        assert (np.diff(arrays["radar_offset"]) > 20).all()
        assert np.isfinite(arrays["radar"]).all()
        assert ((arrays["lidar_range"] > 0).mean((1, 2)) > 0.3).all()


def test_empty_scene_has_noise_for_csi_and_no_terminal_anywhere(empty: Arrays) -> None:
    assert not empty["ue_present"].any()
    assert not empty["present"][empty["ue_body"]].any()
    assert empty["present"].any()
    assert empty["path_offset"][-1] == 0
    assert np.isnan(empty["distance_m"]).all()
    assert (empty["box_share"] == 0).all()
    for band in range(len(BANDS)):
        assert empty["gain_db"][..., band].mean() == pytest.approx(noise_dbm(BANDS[band]), abs=0.1)


def test_any_episode_can_be_recorded_again_alone(recorder: Recorder, empty: Arrays) -> None:
    again = recorder.record(EMPTY)  # after another episode than the first time
    for name, values in empty.items():
        assert values.tobytes() == again[name].tobytes(), name


def test_ground_file_holds_what_the_episodes_were_driven_on(recorder: Recorder, episode: Arrays) -> None:
    ground = recorder.ground()
    west, south = ground["west_south_m"]
    there = episode["ue_present"].astype(bool)
    east, north = (episode["ue_position_m"][:, there, i].ravel() for i in (0, 1))
    rows, cols = np.floor(north - south).astype(int), np.floor(east - west).astype(int)
    assert (ground["zone"][rows, cols] == zones.OPEN).all()
    assert ground["height_m"].dtype == np.float32
    assert set(KINDS) >= {body.kind for body in RECIPE.bodies}
