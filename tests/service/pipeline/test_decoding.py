"""Raw outputs to answers, against numbers worked out in another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymap3d
import pytest
from numpy.typing import NDArray

from service.contract.manifest import Calibration
from service.contract.sites import Site
from service.engine.protocol import Outputs
from service.pipeline.decoding import chosen_tasks, estimates, explanations, finite_rows
from service.trajectory.vertex import Trajectory
from tests.service.contract.examples import CITY, EASTWARD, INDOOR

CALIBRATION = Calibration(
    region_quantile={"0.90": 4.0},
    covariance_scale=2.0,
    los_temperature=2.0,
    activity_temperature=0.5,
    ood_threshold={"city": 2.0, "eastward": 2.0, "indoor": 3.0},
)
OTHER = Calibration(
    region_quantile={"0.90": 9.0},
    covariance_scale=5.0,
    los_temperature=1.0,
    activity_temperature=1.0,
    ood_threshold={"city": 9.0},
)


def outputs(rows: int, **changed: object) -> Outputs:
    raw = {
        "position": np.zeros((rows, 2)),
        "scale_tril": np.tile([1.0, 0.0, 1.0], (rows, 1)),
        "los_logit": np.zeros(rows),
        "activity_logits": np.zeros((rows, 5)),
        "task_logits": np.ones((rows, 3)),
        "ood_score": np.ones(rows),
        "step_weight": np.tile(np.eye(8)[7], (rows, 1)),
    }
    return {name: np.asarray(values, np.float32) for name, values in {**raw, **changed}.items()}


def bearing_deg(site: Site, scale_tril: tuple[float, float, float]) -> float:
    (answer,) = estimates(outputs(1, scale_tril=[scale_tril]), [site], [CALIBRATION])
    return answer.position.region.orientation_deg


def test_position_is_turned_by_the_boresight_of_its_site() -> None:
    ahead = outputs(3, position=[[100, 0], [0, 10], [100, 0]])
    eastward, left_of_east, city = estimates(ahead, [EASTWARD, EASTWARD, CITY], [CALIBRATION] * 3)
    assert eastward.position.enu_m == (100.0, 0.0)
    assert left_of_east.position.enu_m == (0.0, 10.0)  # left of east is north
    bearing = np.radians(CITY.boresight_deg)
    assert city.position.enu_m == pytest.approx((100 * np.sin(bearing), 100 * np.cos(bearing)), abs=1e-3)


def test_position_on_the_map_leads_back_to_the_same_metres() -> None:
    (answer,) = estimates(outputs(1, position=[[120.0, -40.0]]), [CITY], [CALIBRATION])
    place = answer.position.wgs84
    height_m = CITY.origin_wgs84[2]
    east_m, north_m, _ = pymap3d.geodetic2enu(place.latitude_deg, place.longitude_deg, height_m, *CITY.origin_wgs84)
    assert answer.position.enu_m == pytest.approx((east_m, north_m), abs=0.01)


@pytest.mark.parametrize(
    ("scale_tril", "expected"),
    [((1, 0, 3), 0.0), ((3, 0, 1), 90.0), ((3, 3, 0.1), 45.0), ((3, -3, 0.1), 135.0)],
    ids=["north-south", "east-west", "north-east", "north-west"],
)
def test_orientation_is_clockwise_from_north(scale_tril: tuple[float, float, float], expected: float) -> None:
    assert bearing_deg(EASTWARD, scale_tril) == pytest.approx(expected, abs=1.0)
    assert 0 <= bearing_deg(EASTWARD, scale_tril) < 180
    turned = replace(EASTWARD, boresight_deg=90.0 + 20.0)
    assert bearing_deg(turned, scale_tril) == pytest.approx((expected + 20.0) % 180, abs=1.0)


def test_region_is_the_conformal_ellipse_of_the_raw_covariance() -> None:
    tril = np.array([2.0, 1.5, 0.7])
    (answer,) = estimates(outputs(1, position=[[50, 20]], scale_tril=[tril]), [CITY], [CALIBRATION])
    region = answer.position.region
    raw = np.array([[tril[0], 0], [tril[1], tril[2]]])
    raw_enu = CITY.covariance_to_enu(raw @ raw.T)
    assert np.allclose(answer.position.covariance_m2, 2.0 * raw_enu, rtol=1e-6)
    angle = np.radians(region.orientation_deg)
    along = region.semi_major_m * np.array([np.sin(angle), np.cos(angle)])
    across = region.semi_minor_m * np.array([np.cos(angle), -np.sin(angle)])
    for edge in (along, across, 0.6 * along + 0.8 * across):
        assert edge @ np.linalg.solve(raw_enu, edge) == pytest.approx(4.0, rel=1e-2)


def test_region_covers_as_many_truths_as_its_confidence_says() -> None:
    rng = np.random.default_rng(0)
    tril = np.array([2.0, -1.0, 0.5])
    quantile = -2 * np.log(1 - 0.9)  # of a chi-squared distribution with 2 degrees of freedom
    calibration = replace(CALIBRATION, region_quantile={"0.90": quantile})
    (answer,) = estimates(outputs(1, scale_tril=[tril]), [EASTWARD], [calibration])
    region, angle = answer.position.region, np.radians(answer.position.region.orientation_deg)
    errors = rng.normal(size=(20_000, 2)) @ np.array([[tril[0], 0], [tril[1], tril[2]]]).T
    major = errors @ np.array([np.sin(angle), np.cos(angle)]) / region.semi_major_m
    minor = errors @ np.array([np.cos(angle), -np.sin(angle)]) / region.semi_minor_m
    assert np.mean(major**2 + minor**2 <= 1) == pytest.approx(0.9, abs=0.01)


def test_probabilities_are_calibrated_by_their_temperatures() -> None:
    raw = outputs(3, los_logit=[3.0, -1e4, 1e4], activity_logits=[[1, 0, 0, 0, 0], [0, 0, 0, 0, 1e4], [0] * 5])
    first, second, third = estimates(raw, [INDOOR] * 3, [CALIBRATION] * 3)
    assert first.los.probability == pytest.approx(1 / (1 + np.exp(-3.0 / 2.0)), abs=1e-6)
    assert [second.los.probability, third.los.probability] == [0.0, 1.0]
    assert [a.los.line_of_sight for a in (first, second, third)] == [True, False, True]
    assert (first.activity.label, second.activity.label) == ("boxing", "walk")
    assert first.activity.probability == pytest.approx(np.exp(2.0) / (np.exp(2.0) + 4), abs=1e-6)
    assert third.activity.probabilities == dict.fromkeys(("boxing", "jack", "jump", "squats", "walk"), 0.2)


def test_each_frame_is_calibrated_by_its_own_calibration() -> None:
    raw = outputs(2, los_logit=[3.0, 3.0], activity_logits=[[1, 0, 0, 0, 0]] * 2)
    for pair in ([CALIBRATION, OTHER], [OTHER, CALIBRATION]):
        together = estimates(raw, [CITY] * 2, pair)
        one = outputs(1, los_logit=[3.0], activity_logits=[[1, 0, 0, 0, 0]])
        assert together == [estimates(one, [CITY], [calibration])[0] for calibration in pair]
        assert together[0] != together[1]


def test_a_model_without_activities_tells_none() -> None:
    raw = outputs(2)
    del raw["activity_logits"]
    assert [answer.activity for answer in estimates(raw, [CITY] * 2, [CALIBRATION] * 2)] == [None, None]


def trajectory(*carriers_hz: float) -> Trajectory:
    length = len(carriers_hz)
    return Trajectory(np.arange(length, dtype=np.float64), np.zeros((length, 128), np.float32), np.array(carriers_hz))


def test_explanation_names_the_modalities_and_drops_the_padding() -> None:
    gate = {"gate": np.array([[0.7, 0.1, 0.2, 0.0]], np.float32)}
    weights = np.array([[0, 0, 0, 0, 0, 0.2, 0.3, 0.5]], np.float32)
    raw = outputs(1, step_weight=weights, ood_score=[2.5])
    (reason,) = explanations(gate, raw, [trajectory(28e9, 28e9, np.nan)], [CITY], [CALIBRATION])
    assert reason.gate == {"csi": 0.7, "camera": 0.1, "radar": 0.2, "lidar": 0.0}
    assert (reason.cues, reason.carrier_hz) == (None, None)
    assert (reason.trajectory_length, reason.step_weight) == (3, (0.2, 0.3, 0.5))
    assert reason.out_of_distribution
    raw = outputs(1, ood_score=[2.5])
    (reason,) = explanations(gate, raw, [trajectory(np.nan)], [INDOOR], [CALIBRATION])
    assert not reason.out_of_distribution  # each site has a threshold of its own
    (reason,) = explanations(gate, raw, [trajectory(28e9)], [CITY], [OTHER])
    assert not reason.out_of_distribution  # and each calibration


def test_explanation_names_the_cues_of_a_model_with_a_router() -> None:
    routed = {"router_weight": np.array([[0.4, 0.3, 0.0, 0.3]], np.float32)}
    (reason,) = explanations(routed, outputs(1), [trajectory(28e9, 3.55e9)], [CITY], [CALIBRATION])
    assert reason.cues == {"csi": 0.4, "aoa": 0.3, "distance": 0.0, "gain": 0.3}
    assert (reason.gate, reason.carrier_hz) == (None, 3.55e9)


@pytest.mark.parametrize(
    ("asked", "text", "logits", "site", "expected"),
    [
        (("los",), "position", [1, -1, -1], CITY, {"los"}),
        (None, "position", [1, -1, -1], CITY, {"position"}),
        (None, "both", [1, 1, -1], CITY, {"position", "los"}),
        (None, "all", [1, 1, 1], CITY, {"position", "los"}),
        (None, "activity", [-1, -1, 1], CITY, set()),
        (None, None, [-1, -1, -1], CITY, {"position", "los"}),
        (None, None, [1, 1, 1], INDOOR, {"activity"}),
    ],
)
def test_tasks_are_those_asked_for_then_those_of_the_text_then_all_of_the_site(
    asked: tuple[str, ...] | None, text: str | None, logits: list[float], site: Site, expected: set[str]
) -> None:
    assert chosen_tasks(np.array([logits], np.float32), [asked], [text], [site]) == [expected]


@pytest.mark.parametrize(("asked", "expected"), [(None, {"position", "los"}), (("los",), {"los"})])
def test_a_model_that_reads_no_text_answers_what_is_asked_for_or_all(
    asked: tuple[str, ...] | None, expected: set[str]
) -> None:
    assert chosen_tasks(None, [asked], [None], [CITY]) == [expected]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_found(value: float) -> None:
    weights: NDArray[np.float64] = np.tile(np.eye(8)[7], (3, 1))
    weights[1, 0] = value
    assert finite_rows(outputs(3, step_weight=weights)).tolist() == [True, False, True]
