from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.raytraced.zones import OFF, OPEN
from models.data.showing.look import new_figure, place
from models.data.showing.plan import Plan, draw_plan, plan_of
from tests.models.data.fake_set import SITES, fake_ground, fake_set

SITE = SITES["toy"]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(fake_set(tmp_path, plan={"train": 1}), "toy")


def test_boresight_is_up_and_left_is_left(plan: Plan) -> None:
    forward_left = SITE.to_enu(np.array([[50.0, 0.0], [0.0, 30.0]]))
    np.testing.assert_allclose(plan.of(forward_left), [[0, 50], [-30, 0]], atol=1e-9)


def test_height_does_not_matter_on_a_map(plan: Plan) -> None:
    assert plan.of(np.array([[10.0, 20.0, 1.5]])).shape == (1, 2)


def test_map_shows_the_whole_sector_and_the_mast(plan: Plan) -> None:
    left, right, bottom, top = plan.bounds
    for azimuth in np.radians(np.linspace(-plan.sector_deg, plan.sector_deg, 7)):
        x, y = plan.of(SITE.to_enu(plan.range_m[1] * np.array([np.cos(azimuth), np.sin(azimuth)])))
        assert left < x < right
        assert bottom < y < top
    assert left < 0 < right
    assert bottom < 0 < top


def test_ground_is_turned_with_the_site(plan: Plan) -> None:
    cell = np.floor(SITE.to_enu(np.array([100.0, 40.0])) - plan.west_south_m).astype(int)
    marked = np.zeros(plan.zone.shape)
    marked[cell[1] - 1 : cell[1] + 2, cell[0] - 1 : cell[0] + 2] = 1.0
    left, _, bottom, _ = plan.bounds
    rows, columns = np.nonzero(plan.cells(marked, 0.0))
    assert rows.mean() / 2 + bottom == pytest.approx(100, abs=1.5)  # cells of half a metre
    assert columns.mean() / 2 + left == pytest.approx(-40, abs=1.5)


def test_outside_of_the_ground_is_filled(plan: Plan) -> None:
    small = replace(plan, west_south_m=np.array([1000.0, 1000.0]))
    assert (small.cells(plan.zone, 7) == 7).all()


def test_roofs_on_a_hill_count_from_the_street_beside_them(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, plan={"train": 1})
    ground = fake_ground(SITE)
    north = np.arange(400.0)[:, None] - 200
    ground["height_m"] = np.broadcast_to(0.5 * north, (400, 400)).astype(np.float32).copy()
    ground["zone"] = np.full((400, 400), OPEN, np.uint8)
    ground["zone"][300:310, 200:210] = OFF
    ground["height_m"][300:310, 200:210] += 12.0
    shards.write_ground("toy", ground)
    plan = plan_of(shards, "toy")
    assert plan.roof_m[305, 205] == pytest.approx(12.0, abs=3.0)
    assert (plan.roof_m[plan.zone == OPEN] == 0).all()


def test_map_without_any_street_is_drawn(plan: Plan) -> None:
    figure = new_figure(3.0, "a title")
    axes = place(figure, 1.0, 1.0, 4.0, 1.5)
    draw_plan(axes, replace(plan, roof_m=np.full_like(plan.roof_m, 9.0), zone=np.zeros_like(plan.zone)), zones=True)
    assert axes.get_xlim() == pytest.approx(plan.bounds[:2])
