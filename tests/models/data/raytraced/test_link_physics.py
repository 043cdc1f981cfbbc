"""Radio links against formulas, finite differences and sums in plain NumPy."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.bands import BANDS
from models.data.raytraced.frontend import measure, round_trip_m
from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.paths import DELAY_WINDOW_S, Paths, synthesise
from service.normalizers.cues import aoa_profile, distance
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

import sionna.rt as rt

from models.data.raytraced import channel
from models.data.raytraced.channel import BUILDING, CLEAR, PERSON, VEHICLE, ChannelSolver
from models.data.raytraced.streets import Streets
from models.data.raytraced.world import World

MUNICH = LAYOUTS["munich"]
SITE = MUNICH.site
MAST = np.array([0.0, 0.0, SITE.mast_height_m])
LIGHT_MPS = 299_792_458.0
STILL = np.zeros((2, 2))  # of the bus and the person
each_band = pytest.mark.parametrize("band", range(len(BANDS)), ids=[band.name for band in BANDS])


def _high_above() -> NDArray[np.float64]:
    """ENU `[8, 3]` of terminals over the roofs, where nothing comes close to the direct path."""
    azimuth, reach = np.radians(np.linspace(-50, 50, 8)), np.linspace(40, 150, 8)
    mast = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), np.linspace(45, 90, 8)], 1)
    return SITE.to_enu(mast)


def _seen_from_the_mast(enu: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Azimuth to the left of the boresight and elevation in rad, and distance."""
    x, y, z = (SITE.to_mast(enu) - MAST).T
    return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), np.sqrt(x**2 + y**2 + z**2)


def _there(links: int) -> NDArray[np.bool_]:
    return np.ones(links, bool)


def _still(links: int) -> NDArray[np.float64]:
    return np.zeros((links, 2))


@pytest.fixture(scope="module")
def above(city: World, solver: ChannelSolver) -> Paths:
    """Paths to the terminals over the roofs."""
    city.clear()
    paths, blocker = solver.solve(_high_above(), _there(8), _still(8), STILL)
    assert (blocker == CLEAR).all()
    return paths


@pytest.fixture(scope="module")
def street_m(streets: Streets) -> NDArray[np.float64]:
    """ENU `[12, 3]` of terminals on the street, half of them hidden by buildings."""
    rng = np.random.default_rng(1)
    cells = [rng.permutation(np.argwhere((streets.clearance_m > 2) & (streets.blocked == b)))[:6] for b in (0, 1)]
    rows, cols = np.concatenate(cells).T
    east, north = cols + 0.5 + streets.west_south_m[0], rows + 0.5 + streets.west_south_m[1]
    return np.stack([east, north, streets.ground_m[rows, cols] + 1.5], 1)


@pytest.fixture(scope="module")
def street(city: World, solver: ChannelSolver, street_m: NDArray[np.float64]) -> Paths:
    city.clear()
    paths, blocker = solver.solve(street_m, _there(12), _still(12), STILL)
    assert (blocker[:6] == CLEAR).all()
    assert (blocker[6:] == BUILDING).all()
    return paths


def _direct(paths: Paths) -> NDArray[np.int64]:
    """Row of the direct path of every link; each must have exactly one."""
    rows = np.flatnonzero((paths.kind == 0).all(1))
    assert np.searchsorted(paths.offset, rows, side="right").tolist() == list(range(1, paths.links + 1))
    return rows


def _alone(paths: Paths) -> Paths:
    """The direct paths without the others."""
    rows = _direct(paths)
    columns = {f.name: getattr(paths, f.name)[rows] for f in fields(Paths) if f.name != "offset"}
    return Paths(np.arange(paths.links + 1), **columns)


def _owner(paths: Paths) -> NDArray[np.int64]:
    return np.repeat(np.arange(paths.links), np.diff(paths.offset))


@each_band
def test_direct_path_has_the_loss_of_free_space(above: Paths, band: int) -> None:
    azimuth, elevation, reach = _seen_from_the_mast(_high_above())
    # 3GPP TR 38.901 table 7.3-1: 8 dBi, 65 degrees, 30 dB.
    vertical, horizontal = (np.minimum(12 * (np.degrees(angle) / 65) ** 2, 30) for angle in (elevation, azimuth))
    element_db = 8 - np.minimum(vertical + horizontal, 30)
    friis_db = 20 * np.log10(LIGHT_MPS / BANDS[band].carrier_hz / (4 * np.pi * reach)) + element_db
    gain_db = 20 * np.log10(np.abs(above.gain[_direct(above), band]))
    np.testing.assert_allclose(gain_db, friis_db, atol=0.1)


def test_direct_path_has_the_delay_and_the_angles_of_the_geometry(above: Paths) -> None:
    azimuth, elevation, reach = _seen_from_the_mast(_high_above())
    rows = _direct(above)
    np.testing.assert_allclose(above.delay_s[rows], reach / LIGHT_MPS, atol=0.1e-9)
    turn = above.site_angle[rows, 0] - SITE.boresight_rad - azimuth
    np.testing.assert_allclose(np.exp(1j * turn), 1, atol=1e-4)
    np.testing.assert_allclose(above.site_angle[rows, 1], elevation, atol=1e-4)
    np.testing.assert_allclose(np.exp(1j * (above.ue_angle[rows, 0] - above.site_angle[rows, 0])), -1, atol=1e-4)
    np.testing.assert_allclose(above.ue_angle[rows, 1], -elevation, atol=1e-4)


def test_phase_of_the_direct_path_is_its_length_in_wavelengths(above: Paths) -> None:
    rows = _direct(above)
    reach = _seen_from_the_mast(_high_above())[2]
    turns = np.outer(reach, [band.carrier_hz / LIGHT_MPS for band in BANDS])
    # The tracer's single precision is good for some 1e-5 m; the element's own phase is the same everywhere.
    left_over = above.gain[rows] / np.abs(above.gain[rows]) * np.exp(2j * np.pi * turns)
    assert np.abs(np.angle(left_over[:, :2] / left_over[0, 0])).max() < 0.02
    assert np.abs(np.angle(left_over[:, 2] / left_over[0, 0])).max() < 0.1


@each_band
def test_sounding_finds_the_terminal_where_it_is(above: Paths, band: int) -> None:
    azimuth, elevation, reach = _seen_from_the_mast(_high_above())
    csi = synthesise(above, band, BANDS[band].bandwidth_hz, SITE)
    sine = np.sin(azimuth) * np.cos(elevation)
    np.testing.assert_allclose((aoa_profile(csi).argmax(1) - 32) / 32, sine, atol=1 / 32)
    np.testing.assert_allclose(100 * distance(csi, BANDS[band].bandwidth_hz)[:, 0], reach, atol=0.1)


@each_band
def test_csi_is_the_sum_over_paths_at_every_element_and_subcarrier(street: Paths, band: int) -> None:
    csi = synthesise(street, band, BANDS[band].bandwidth_hz, SITE)
    spacing_hz = BANDS[band].bandwidth_hz / 64
    azimuth, elevation = street.site_angle.astype(np.float64).T
    towards = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], 1)
    left = np.array([-math.sin(SITE.boresight_rad), math.cos(SITE.boresight_rad), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    early = street.delay_s <= DELAY_WINDOW_S
    for link in range(street.links):
        rows = np.arange(street.offset[link], street.offset[link + 1])
        rows = rows[early[rows]]
        expected = np.zeros((32, 64), np.complex128)
        for element in range(32):  # row 0 is the lowest, column 0 the leftmost; half a wavelength apart
            row, col = divmod(element, 8)
            place = 0.5 * (3.5 - col) * left + 0.5 * (row - 1.5) * up  # in wavelengths
            for n in range(64):
                turns = towards[rows] @ place - (n - 32) * spacing_hz * street.delay_s[rows].astype(np.float64)
                expected[element, n] = (street.gain[rows, band] * np.exp(2j * np.pi * turns)).sum()
        assert np.linalg.norm(csi[link] - expected) <= 1e-3 * np.linalg.norm(expected)
        assert np.abs(csi[link] - expected).max() <= 1e-3 * np.abs(expected).max(initial=1e-30)


@each_band
def test_paths_and_csi_are_those_of_the_tracer_at_that_carrier_alone(
    city: World, street: Paths, street_m: NDArray[np.float64], band: int
) -> None:
    scene = city.scene
    single = scene.tx_array
    try:
        scene.frequency = BANDS[band].carrier_hz
        scene.tx_array = rt.PlanarArray(
            num_rows=4, num_cols=8, vertical_spacing=0.5, horizontal_spacing=0.5, pattern="tr38901", polarization="V"
        )
        for index, where in enumerate(MUNICH.to_scene(street_m[:6])):
            scene.add(rt.Receiver(f"probe-{index}", position=[float(v) for v in where]))
        traced = rt.PathSolver()(
            scene, max_depth=channel.MAX_DEPTH, samples_per_src=channel.SAMPLES, los=True, specular_reflection=True,
            diffuse_reflection=False, refraction=False, diffraction=True, synthetic_array=True, seed=channel.SEED,
        )  # fmt: skip
        offsets_hz = rt.subcarrier_frequencies(64, BANDS[band].spacing_hz)
        reference = traced.cfr(frequencies=offsets_hz, normalize_delays=False, out_type="numpy")[:, 0, 0, :, 0, :]
        y, z = (np.array(getattr(scene.tx_array.normalized_positions, axis)) for axis in "yz")
    finally:
        scene.tx_array = single
        for index in range(6):
            scene.remove(f"probe-{index}")
    csi = synthesise(street, band, BANDS[band].bandwidth_hz, SITE, window_s=1.0)[:6]
    reference = reference[:, np.lexsort((-np.round(y, 6), np.round(z, 6)))]
    for link in range(6):
        alike = np.vdot(reference[link], csi[link]) / np.linalg.norm(reference[link]) / np.linalg.norm(csi[link])
        assert abs(alike) > 1 - 1e-3
        assert np.linalg.norm(csi[link]) == pytest.approx(np.linalg.norm(reference[link]), rel=0.01)
        assert abs(np.angle(alike)) < 0.05


def test_every_path_is_as_long_as_its_polyline_and_leaves_along_its_legs(
    street: Paths, street_m: NDArray[np.float64]
) -> None:
    owner = _owner(street)
    depth = (~np.isnan(street.vertex_m[..., 0])).sum(1)
    np.testing.assert_array_equal(depth, (street.kind != 0).sum(1))
    for row in range(len(owner)):
        ue = street_m[owner[row]]
        points = np.vstack([MAST, street.vertex_m[row, : depth[row]], ue])
        legs = np.diff(points, axis=0)
        length = np.linalg.norm(legs, axis=1).sum()
        assert length == pytest.approx(street.delay_s[row] * LIGHT_MPS, abs=0.02)
        for leg, (azimuth, elevation) in ((legs[0], street.site_angle[row]), (-legs[-1], street.ue_angle[row])):
            way = [
                math.cos(elevation) * math.cos(azimuth),
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
            ]
            np.testing.assert_allclose(leg / np.linalg.norm(leg), way, atol=2e-3)
    assert set(np.unique(street.kind)) == {0, 1, 2, 8}  # reflected, scattered and diffracted ones were among them


def test_scattered_paths_are_traced_for_hidden_terminals_alone(street: Paths) -> None:
    scattered = (street.kind == 2).any(1)
    links = set(_owner(street)[scattered].tolist())
    assert links <= set(range(6, 12))
    assert len(links) >= 4
    per_link = np.bincount(_owner(street)[scattered], minlength=12)
    assert per_link.max() <= channel.DIFFUSE_MOST


def _same_paths(before: Paths, after: Paths) -> list[tuple[int, int]]:
    """Pairs of rows of two solutions of one link that interact in the same way at nearly the same points."""
    pairs = []
    for i in range(len(before.delay_s)):
        moved = np.nan_to_num(after.vertex_m - before.vertex_m[i]).reshape(len(after.delay_s), -1)
        same = (after.kind == before.kind[i]).all(1) & (np.abs(moved).max(1) < 0.3)
        if same.sum() == 1:
            pairs.append((i, int(np.flatnonzero(same)[0])))
    return pairs


def _step(solver: ChannelSolver, enu: NDArray[np.float64], mps: NDArray[np.float64], step_s: float) -> list[Paths]:
    return [solver.solve(enu[None] + np.append(t * mps, 0.0), _there(1), mps[None], STILL)[0] for t in (0.0, step_s)]


def test_moving_terminal_has_the_doppler_of_the_geometry(city: World, solver: ChannelSolver) -> None:
    city.clear()
    enu = _high_above()[3]
    away = (enu[:2] / np.hypot(*enu[:2])).astype(np.float64)
    elevation = _seen_from_the_mast(enu[None])[1][0]
    for speed_mps in (12.0, -12.0):  # receding, approaching
        paths, _ = solver.solve(enu[None], _there(1), speed_mps * away[None], STILL)
        rate = paths.rate_mps[_direct(paths)[0]]
        assert rate == pytest.approx(speed_mps * math.cos(elevation), rel=1e-4)
        doppler_hz = -rate / (LIGHT_MPS / BANDS[2].carrier_hz)
        assert np.sign(doppler_hz) == -np.sign(speed_mps)
        assert abs(doppler_hz) == pytest.approx(12 * math.cos(elevation) * 28e9 / LIGHT_MPS, rel=1e-3)
    across = np.array([-away[1], away[0]])
    paths, _ = solver.solve(enu[None], _there(1), 12.0 * across[None], STILL)
    assert paths.rate_mps[_direct(paths)[0]] == pytest.approx(0, abs=1e-3)


def test_rates_of_all_paths_are_how_fast_they_grow(
    city: World, solver: ChannelSolver, street_m: NDArray[np.float64]
) -> None:
    city.clear()
    step_s, compared = 0.01, 0
    for enu, angle in zip(street_m[[0, 2, 4]], (0.3, 1.9, 4.0), strict=True):
        before, after = _step(solver, enu, 10 * np.array([math.cos(angle), math.sin(angle)]), step_s)
        for i, j in _same_paths(before, after):
            growth_mps = float(after.delay_s[j].astype(np.float64) - before.delay_s[i]) * LIGHT_MPS / step_s
            rate = (before.rate_mps[i] + after.rate_mps[j]) / 2
            assert growth_mps == pytest.approx(rate, abs=0.25)  # delays in single precision: some 0.01 m
            # The phase of the field turns with the length: Doppler, as the CSI of two snapshots shows it.
            turn = np.angle(after.gain[j, 0] / before.gain[i, 0] * np.exp(2j * np.pi * rate * step_s / 0.115306))
            if abs(before.gain[i, 0]) > 1e-6:
                assert abs(turn) < 0.6
            compared += 1
    assert compared > 20


def test_path_over_a_moving_bus_grows_as_the_bus_moves(
    city: World, solver: ChannelSolver, spot: NDArray[np.float64]
) -> None:
    away = spot / np.hypot(*spot)
    speed_mps, step_s = 9.0, 0.01
    antenna = np.array([*(spot - 12 * away), 1.5])
    heading = math.atan2(away[1], away[0]) + math.pi / 2  # broadside to the mast, moving away from it sideways
    found = []
    for t in (0.0, step_s):
        at = spot + (6.0 + speed_mps * t) * away
        city.place(np.array([[*at, heading], [0, 0, 0]]), np.zeros(2), np.array([True, False]))
        found.append(solver.solve(antenna[None], _there(1), _still(1), np.array([speed_mps * away, [0, 0]]))[0])
    city.clear()
    moving = [(i, j) for i, j in _same_paths(*found) if abs(found[0].rate_mps[i]) > 1]
    assert moving  # the echo of the bus is there
    for i, j in moving:
        growth_mps = float(found[1].delay_s[j].astype(np.float64) - found[0].delay_s[i]) * LIGHT_MPS / step_s
        assert growth_mps == pytest.approx(found[0].rate_mps[i], abs=0.4)
        assert growth_mps > 0  # a mirror that goes away lengthens the path by up to twice its speed
        assert growth_mps < 2 * speed_mps
    standing = found[0].rate_mps[(found[0].kind == 0).all(1)]
    np.testing.assert_allclose(standing, 0, atol=1e-6)


def test_body_in_the_way_blocks_the_link_and_gives_it_free_again(
    city: World, solver: ChannelSolver, spot: NDArray[np.float64]
) -> None:
    heading = math.atan2(spot[1], spot[0]) + math.pi / 2  # broadside on
    antenna = np.array([[*spot, 1.5]])
    towards = spot / np.hypot(*spot)
    places = np.array([[*(spot - 2.5 * towards), heading], [*(spot - 0.4 * towards), heading]])
    gain_db, blockers = {}, {}
    for name, present in (("none", (0, 0)), ("bus", (1, 0)), ("person", (0, 1)), ("none again", (0, 0))):
        city.place(places, np.zeros(2), np.array(present, bool))
        paths, blocker = solver.solve(antenna, _there(1), _still(1), STILL)
        blockers[name] = int(blocker[0])
        power = [(np.abs(synthesise(paths, b, 100e6, SITE).astype(np.complex128)) ** 2).mean() for b in range(3)]
        gain_db[name] = 10 * np.log10(power)
    city.clear()
    assert blockers == {"none": CLEAR, "bus": VEHICLE, "person": PERSON, "none again": CLEAR}
    np.testing.assert_allclose(gain_db["none again"], gain_db["none"], atol=1e-3)
    assert (gain_db["bus"] < gain_db["none"] - 3).all()
    assert (gain_db["person"] < gain_db["none"] - 3).all()


def test_terminal_inside_a_house_is_blocked_by_a_building(city: World, solver: ChannelSolver, streets: Streets) -> None:
    row, col = np.argwhere(streets.height_m > 15)[0]
    inside = np.array([[*(np.array([col, row]) + 0.5 + streets.west_south_m), 1.5]])
    city.clear()
    paths, blocker = solver.solve(inside, _there(1), _still(1), STILL)
    assert blocker.tolist() == [BUILDING]
    assert not (paths.kind == 0).all(1).any()


def test_solution_is_reproducible_and_links_do_not_change_each_other(
    city: World, solver: ChannelSolver, street: Paths, street_m: NDArray[np.float64]
) -> None:
    city.clear()
    again, _ = solver.solve(street_m, _there(12), _still(12), STILL)
    for name, column in street.columns().items():
        assert column.tobytes() == again.columns()[name].tobytes(), name
    alone, _ = solver.solve(street_m[3:4], _there(1), _still(1), STILL)
    strong = np.abs(alone.gain[:, 1]).max()
    assert strong == pytest.approx(np.abs(street.gain[street.offset[3] : street.offset[4], 1]).max(), rel=1e-3)


@each_band
def test_measured_power_of_a_clear_link_is_that_of_the_link_budget(above: Paths, band: int) -> None:
    direct = _alone(above)
    csi = measure(synthesise(direct, band, 100e6, SITE), BANDS[band], np.random.default_rng(1)).csi()
    received_dbm = 10 * np.log10((np.abs(csi.astype(np.complex128)) ** 2).mean((1, 2)))
    signal_dbm = 23 - 10 * math.log10(64) + 20 * np.log10(np.abs(direct.gain[:, band]))
    noise_mw = 1.380649e-23 * 290 * 1e3 * 100e6 / 64 * 10 ** (BANDS[band].noise_figure_db / 10)
    np.testing.assert_allclose(received_dbm, 10 * np.log10(10 ** (signal_dbm / 10) + noise_mw), atol=0.15)


@each_band
def test_round_trip_measures_the_distance_of_a_clear_link(above: Paths, band: int) -> None:
    reach = _seen_from_the_mast(_high_above())[2]
    direct = _alone(above)
    rng = np.random.default_rng(2)
    error = np.array([round_trip_m(direct, band, BANDS[band], rng) - reach for _ in range(60)])
    assert abs(error.mean()) < 0.05
    assert 0.25 < error.std() < 0.5  # calibration and reporting steps; the noise matters far away only
