"""The radar against the radar equation, plain Fourier transforms and bodies in empty space."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.layouts import LAYOUTS, Layout
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced import radar_echoes
from models.data.raytraced.radar import FALSE_ALARM, MOST_DETECTIONS, RadarScan, radar_scan, report
from models.data.raytraced.radar_cube import (
    AZIMUTHS,
    DOPPLER_MPS,
    DOPPLERS,
    RANGES,
    Cube,
    azimuth_cell,
    cube_of,
    doppler_cell,
    range_cell,
)
from models.data.raytraced.radar_echoes import GAMMA, Echoes, echoes_of, mean_snr
from models.data.raytraced.world import World

MUNICH = LAYOUTS["munich"]
SITE = MUNICH.site
BUS, PERSON = 0, 1
HERE, AWAY = np.array([True, False]), np.array([False, True])
STILL = np.zeros((2, 2))


def _free_space() -> Layout:
    """Munich's radar, so far from the city that it sees nothing of it."""
    return replace(MUNICH, foot_m=(5000.0, 5000.0, 0.0))


@pytest.fixture(scope="module")
def world() -> World:
    """A bus and a person in free space."""
    return World(_free_space(), (Body("bus", carries_ue=False), Body("person", carries_ue=False)))


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _echo(reach_m: float, left: float = 0.0, up: float = -0.3, speed_mps: float = 0.0, snr_db: float = 40.0) -> Echoes:
    return Echoes(*(np.array([v]) for v in (reach_m, left, up, speed_mps, 10 ** (snr_db / 10))))


def _none() -> Echoes:
    return Echoes(*(np.zeros(0) for _ in range(5)))


def _put(world: World, forward_m: float, left_m: float, present: NDArray[np.bool_], turned_rad: float = 0.0) -> None:
    """Both bodies at a place of the mast frame, headed away from the mast and then turned."""
    east, north = SITE.to_enu(np.array([forward_m, left_m]))
    pose = np.array([east, north, math.atan2(north, east) + turned_rad])
    world.place(np.stack([pose, pose]), np.zeros(2), present)


def _polar(scan: RadarScan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mast frame `[N, 3]` of the detections, seen from the radar, and their slant ranges."""
    mast = SITE.to_mast(scan.detections[:, 1:4].astype(np.float64)) - [0, 0, SITE.mast_height_m]
    return mast, np.linalg.norm(mast, axis=1)


def test_radar_equation_adds_up_in_decibels() -> None:
    wavelength_m = 299_792_458 / 76.5e9
    received_dbm = (
        10 + 19 + 7 + 20 * math.log10(wavelength_m) + 10 - 30 * math.log10(4 * math.pi) - 40 * math.log10(100) - 3
    )
    samples, sweeps, elements, sweep_s = 192, 64, 64, 40e-6
    noise_dbm = -173.98 + 10 * math.log10(samples / sweep_s) + 12  # kTB at 290 K in the bandwidth of the samples
    integration_db = 10 * math.log10(samples * sweeps * elements) - 3 * 1.76  # three Hann windows
    snr_db = 10 * np.log10(mean_snr(10.0, 100.0, 0.0, math.radians(-20.0)))  # 10 dBsm at 100 m, where the beam points
    assert snr_db == pytest.approx(received_dbm - noise_dbm + integration_db, abs=0.05)
    assert snr_db == pytest.approx(30.7, abs=0.2)


def test_beam_loses_three_decibels_each_way_at_its_half_power_width() -> None:
    middle = mean_snr(1.0, 50.0, 0.0, math.radians(-20.0))
    assert 10 * np.log10(mean_snr(1.0, 50.0, math.radians(60.0), math.radians(-20.0)) / middle) == pytest.approx(-6)
    assert 10 * np.log10(mean_snr(1.0, 50.0, 0.0, math.radians(5.0)) / middle) == pytest.approx(-6)


def _seen_area_m2(kind: str, forward_m: float, turned_rad: float) -> float:
    """Area of a box-shaped body's outline, seen from the radar."""
    ((x0, x1, y0, y1, z0, z1),) = KINDS[kind].boxes
    way = np.array([forward_m, 0, (z0 + z1) / 2 - SITE.mast_height_m])
    along, across, up = np.abs(way / np.linalg.norm(way)) @ np.eye(3)
    c, s = math.cos(turned_rad), math.sin(turned_rad)
    ends, sides, roof = (y1 - y0) * (z1 - z0), (x1 - x0) * (z1 - z0), (x1 - x0) * (y1 - y0)
    return float(ends * abs(c * along + s * across) + sides * abs(c * across - s * along) + roof * up)


@pytest.mark.parametrize("forward_m", [50.0, 100.0, 170.0])
@pytest.mark.parametrize("kind", ["bus", "person"])
def test_body_returns_the_power_of_the_radar_equation(world: World, kind: str, forward_m: float) -> None:
    present, turned = (HERE, 0.9) if kind == "bus" else (AWAY, 0.3)
    _put(world, forward_m, 0.0, present, turned)
    box = np.array(KINDS[kind].boxes[0])
    rise_m = box[4:].mean() - SITE.mast_height_m
    reach_m = math.hypot(forward_m, rise_m)
    area_m2 = _seen_area_m2(kind, forward_m, turned)
    expected = mean_snr(GAMMA[kind] * area_m2, reach_m, 0.0, math.atan2(rise_m, forward_m))
    total = np.mean([echoes_of(world, STILL, _rng(seed)).snr.sum() for seed in range(20)])
    assert 10 * np.log10(total / expected) == pytest.approx(0.0, abs=0.4)
    # The same after the cells: three Hann windows spread an echo over cells that together hold 1.5³ of its peak.
    near = int(range_cell(np.array(reach_m)))
    in_cells = []
    for seed in range(12):
        cells = cube_of(echoes_of(world, STILL, _rng(seed)), _rng(seed)).lower[near - 9 : near + 10, 29:36, 24:40]
        in_cells.append((np.abs(cells.astype(np.complex128)) ** 2).sum() - cells.size)
    if expected > 30:
        assert 10 * np.log10(np.mean(in_cells) / 1.5**3 / expected) == pytest.approx(0.0, abs=1.0)


def test_cross_sections_are_of_the_size_that_is_measured() -> None:
    # Mean of all sides, seen from 15 degrees above, of the boxes; literature: see `radar_echoes`.
    for kind, low_dbsm, high_dbsm in (("car", 5, 15), ("bus", 12, 22), ("truck", 12, 22), ("person", -12, -3)):
        boxes = np.array(KINDS[kind].boxes)
        length, width, height = (np.ptp(boxes[0, i : i + 2]) for i in (0, 2, 4))
        area = math.cos(0.26) * 2 / math.pi * (length + width) * height + math.sin(0.26) * length * width
        assert low_dbsm < 10 * math.log10(GAMMA[kind] * area) < high_dbsm
    assert GAMMA.keys() == KINDS.keys()


def test_power_falls_with_the_fourth_power_of_range(world: World) -> None:
    total = []
    for forward_m in (40.0, 160.0):
        # The same aspect twice: radar and person are scaled alike, but for the person's size.
        layout = replace(_free_space(), site=replace(SITE, mast_height_m=0.875 + forward_m / 4))
        world.layout = layout
        _put(world, forward_m, 0.0, AWAY, 0.3)
        total.append(np.mean([echoes_of(world, STILL, _rng(seed)).snr.sum() for seed in range(20)]))
    world.layout = _free_space()
    assert 10 * np.log10(total[0] / total[1]) == pytest.approx(40 * math.log10(4), abs=0.2)


@pytest.mark.parametrize("speed_mps", [0.0, -7.3], ids=["standing", "moving"])
def test_cells_are_those_of_windowed_fourier_transforms(speed_mps: float) -> None:
    echo = _echo(81.25, left=0.2578125, up=-0.4, speed_mps=speed_mps, snr_db=80)
    cube = cube_of(echo, _rng())
    place = [range_cell(echo.range_m), doppler_cell(echo.speed_mps), azimuth_cell(echo.left)]
    spectra = []
    for cell, size in zip(place, (RANGES, DOPPLERS, AZIMUTHS), strict=True):
        sample = np.arange(size)
        tone = np.exp(2j * np.pi * cell * sample / size)
        spectra.append(np.abs(np.fft.fft(tone * (1 - np.cos(2 * np.pi * sample / size)))) / size)
    expected = spectra[0][:, None, None] * spectra[1][:, None] * spectra[2]
    expected *= np.abs(cube.upper).max() / expected.max()
    error = np.abs(np.abs(cube.upper) - expected) / expected.max()
    assert error.max() < 0.011  # what is left out of the lobes of moving echoes lies 41 dB below
    assert (
        np.abs(np.abs(cube.lower) - expected).max() < 0.011 * expected.max() + 6
    )  # the lower row: the same, and noise


def test_noise_has_power_one_and_what_windows_leave_of_its_whiteness() -> None:
    cells = cube_of(_none(), _rng(3)).lower.astype(np.complex128)
    power = np.abs(cells) ** 2
    assert power.mean() == pytest.approx(1.0, abs=0.01)
    assert (power > 3).mean() == pytest.approx(math.exp(-3), rel=0.03)  # exponential
    for axis in range(3):
        beside = (cells * np.roll(cells, 1, axis).conj()).mean().real
        apart = (cells * np.roll(cells, 3, axis).conj()).mean()
        assert beside == pytest.approx(2 / 3, abs=0.02)
        assert abs(apart) < 0.02


def test_empty_world_gives_as_many_false_alarms_as_designed(world: World) -> None:
    world.clear()
    scans = [radar_scan(world, STILL, _rng(seed)) for seed in range(30)]
    alarms = sum(len(scan.detections) for scan in scans)
    searched = 30 * np.mean([(scan.range_azimuth > 0).sum() for scan in scans]) * DOPPLERS
    # Cells beside each other cross the threshold together and count once.
    assert 0.5 < alarms / (searched * FALSE_ALARM) < 1.4
    assert searched > 30 * 600_000


@pytest.mark.parametrize(
    ("reach_m", "left", "up", "speed_mps"),
    [(60.0, 0.0, -0.44, 0.0), (111.3, 0.42, -0.22, 8.1), (30.7, -0.38, -0.82, -1.2), (183.2, -0.8, -0.1, 13.9)],
)
def test_lone_target_is_reported_where_it_is(reach_m: float, left: float, up: float, speed_mps: float) -> None:
    scans = []
    for seed in range(10):
        cube = cube_of(_echo(reach_m, left, up, speed_mps, snr_db=45), _rng(seed))
        scan = report(cube, SITE, _rng(seed))
        strongest = scan.detections[:, 5].argmax()
        scans.append(scan.detections[strongest].astype(np.float64))
    found = np.array(scans)
    mast = SITE.to_mast(found[:, 1:4]) - [0, 0, SITE.mast_height_m]
    reach = np.linalg.norm(mast, axis=1)
    assert np.median(reach) == pytest.approx(reach_m, abs=0.15)
    assert np.median(mast[:, 1] / reach) == pytest.approx(left, abs=0.1 * 2 / AZIMUTHS)
    assert np.median(mast[:, 2] / reach) == pytest.approx(up, abs=0.01)
    assert np.median(found[:, 4]) == pytest.approx(speed_mps, abs=0.1 * DOPPLER_MPS)
    assert 10 * np.log10((10 ** (found[:, 5] / 10)).mean()) == pytest.approx(45, abs=3)  # less where cells meet
    assert (mast[:, 0] > 0).all()


def test_places_are_the_sharper_the_stronger_the_echo() -> None:
    spread = []
    for snr_db in (20.0, 40.0):
        scans = [report(cube_of(_echo(70.0, 0.1, -0.38, 5.0, snr_db), _rng(s)), SITE, _rng(s)) for s in range(15)]
        best = [scan.detections[scan.detections[:, 5].argmax()] for scan in scans if len(scan.detections)]
        up = [(row[3] - SITE.mast_height_m) / 70 for row in best]
        spread.append(np.median(np.abs(np.array(up) + 0.38)))
    assert 3 < spread[0] / spread[1] < 30


@pytest.mark.parametrize("speed_mps", [-8.0, 8.0], ids=["approaching", "receding"])
def test_moving_bus_is_seen_where_it_is_and_at_its_radial_speed(world: World, speed_mps: float) -> None:
    _put(world, 70.0, 20.0, HERE)
    spot = SITE.to_enu(np.array([70.0, 20.0]))
    towards = spot / np.hypot(*spot)
    scan = radar_scan(world, np.array([speed_mps * towards, [0, 0]]), _rng())
    strong = scan.detections[:, 5] > 20
    near = np.hypot(*(scan.detections[:, 1:3] - spot).T) < 9
    assert (strong & near).sum() >= 3
    assert (strong & ~near).sum() <= 0.2 * strong.sum()  # sidelobes
    # What a radar sees is the speed along its ray, which also falls by the height of the mast.
    radial = speed_mps * np.hypot(*spot) / np.hypot(np.hypot(*spot), SITE.mast_height_m - 1.6)
    assert np.median(scan.detections[strong & near, 4]) == pytest.approx(radial, abs=0.3)


def test_speeds_beyond_the_axis_fold_over_it() -> None:
    scan = report(cube_of(_echo(80.0, speed_mps=23.0, snr_db=50), _rng()), SITE, _rng())
    assert scan.detections[scan.detections[:, 5].argmax(), 4] == pytest.approx(23.0 - 40.0, abs=0.1)


def test_maps_show_a_target_in_its_cells() -> None:
    scan = report(cube_of(_echo(90.5, 0.296875, -0.3, -5.0, 50), _rng()), SITE, _rng())
    assert scan.range_azimuth.shape == (RANGES, AZIMUTHS)
    assert scan.range_doppler.shape == (RANGES, DOPPLERS)
    assert np.unravel_index(scan.range_azimuth.argmax(), (RANGES, AZIMUTHS)) == (90, 41)
    assert np.unravel_index(scan.range_doppler.argmax(), (RANGES, DOPPLERS)) == (90, 24)
    snr_db = scan.detections[:, 5].max()
    assert scan.range_azimuth.max() / 2 == scan.range_doppler.max() / 2 == pytest.approx(snr_db, abs=0.26)
    assert (scan.range_azimuth[:10] == 0).all()  # blanked
    assert (scan.range_azimuth[:, [0, 1, 2, 3, -4, -3, -2, -1]] == 0).all()  # beyond the field
    assert scan.range_doppler[10:].min() > 0


def test_what_is_too_near_is_blanked() -> None:
    scan = report(cube_of(_echo(5.5, snr_db=90), _rng()), SITE, _rng())
    assert _polar(scan)[1].min(initial=99) > 9
    city = World(MUNICH, ())
    echoes = echoes_of(city, np.zeros((0, 2)), _rng())
    assert echoes.range_m.min() > radar_echoes.BLANK_M  # Munich's mast looks down on a roof 1 m below
    assert len(echoes.snr) > 10_000


def test_body_behind_another_gives_no_echo(world: World) -> None:
    _put(world, 60.0, 0.0, HERE | AWAY, math.pi / 2)  # the person stands within the bus
    speed = np.array([[0.0, 0.0], [0.0, 5.0]])
    assert (echoes_of(world, speed, _rng()).speed_mps == 0).all()
    _put(world, 60.0, 0.0, AWAY)
    assert (echoes_of(world, speed, _rng()).speed_mps != 0).any()


def test_bodies_outside_the_field_are_not_lit(world: World) -> None:
    for forward_m, left_m in ((30.0, 80.0), (-60.0, 0.0), (230.0, 0.0)):
        _put(world, forward_m, left_m, HERE | AWAY)
        assert len(echoes_of(world, STILL, _rng()).snr) == 0


def test_full_list_keeps_movers_and_then_the_strongest() -> None:
    rng = _rng()
    r, a = (v.ravel().astype(float) for v in np.meshgrid(np.arange(12, 190, 3), np.arange(6, 58, 3)))
    still = len(r)
    assert still > MOST_DETECTIONS
    reach, left = np.append(r + 0.5, np.full(8, 50.0)), np.append((a + 0.5) / 32 - 1, np.linspace(-0.5, 0.5, 8))
    speed, snr = np.append(np.zeros(still), np.full(8, 9.0)), np.append(np.full(still, 1e5), np.full(8, 1e3))
    scan = report(cube_of(Echoes(reach, left, np.full(still + 8, -0.1), speed, snr), rng), SITE, rng)
    assert len(scan.detections) == MOST_DETECTIONS
    assert (np.abs(scan.detections[:, 4] - 9.0) < 0.4).sum() >= 7  # Rayleigh fading may hide one
    assert np.median(scan.detections[:, 5]) > 45


def test_time_runs_from_left_to_right_within_the_window(world: World) -> None:
    times = []
    for left in (0.85, 0.4, 0.0, -0.4, -0.85):
        scan = report(cube_of(_echo(90.5, left, snr_db=60), _rng()), SITE, _rng())
        times.append(scan.detections[scan.detections[:, 5].argmax(), 0])
    assert (np.diff(times) > 0).all()
    assert times[0] == 0
    assert times[-1] < SITE.radar_window_s


def test_scan_depends_on_its_seed_alone(world: World) -> None:
    _put(world, 60.0, 5.0, HERE | AWAY)
    first, again, other = (radar_scan(world, STILL, _rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.detections, again.detections)
    np.testing.assert_array_equal(first.range_azimuth, again.range_azimuth)
    np.testing.assert_array_equal(first.range_doppler, again.range_doppler)
    assert not np.array_equal(first.range_azimuth, other.range_azimuth)
    assert first.detections.dtype == np.float32
    assert np.isfinite(first.detections).all()


def test_silent_cube_reports_nothing() -> None:
    quiet = np.zeros((RANGES, DOPPLERS, AZIMUTHS), np.complex64)
    scan = report(Cube(quiet, quiet), SITE, _rng())
    assert scan.detections.shape == (0, 6)
    assert not scan.range_azimuth.any()
