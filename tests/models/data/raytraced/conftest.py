"""One traced city for all tests of the ray tracer; each test places the bodies as it needs them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.bodies import Body
from models.data.raytraced.layouts import LAYOUTS

if TYPE_CHECKING:
    from models.data.raytraced.channel import ChannelSolver
    from models.data.raytraced.streets import Streets
    from models.data.raytraced.world import World

MUNICH = LAYOUTS["munich"]


@pytest.fixture(scope="session")
def city() -> World:
    """Munich with a bus and a person."""
    from models.data.raytraced.world import World

    return World(MUNICH, (Body("bus", carries_ue=False), Body("person", carries_ue=False)))


@pytest.fixture(scope="session")
def solver(city: World) -> ChannelSolver:
    from models.data.raytraced.channel import ChannelSolver

    return ChannelSolver(city)


@pytest.fixture(scope="session")
def streets(city: World) -> Streets:
    from models.data.raytraced.survey import survey

    return survey(city, seed=2026)


@pytest.fixture(scope="session")
def spot(city: World, streets: Streets) -> NDArray[np.float64]:
    """ENU `[2]` of open street 50 to 80 m in front of the mast, in its sight, with room for a bus around it."""
    city.clear()
    around = [8.0 * np.array([math.cos(a), math.sin(a)]) for a in np.arange(8) * math.pi / 4]
    for row, col in np.argwhere(streets.clearance_m > 9):
        enu = np.array([col, row]) + 0.5 + streets.west_south_m
        forward, left = MUNICH.site.to_mast(enu)
        if 50 < forward < 80 and 15 < left < 25:  # not straight ahead, so that left and right can be told apart
            points = np.array([[*(enu + aside), 1.5] for aside in around])
            if city.sees(MUNICH.sensor_m, MUNICH.to_scene(points)).all():
                return np.asarray(enu)
    raise AssertionError("no open street in sight of the mast")
