from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models import card
from models.evaluation import Data, fit_calibration, fit_novelty, measure, novelty_scores, scene_figures, text_figures
from models.metrics import Figures
from models.predict import ScenePredictions
from models.systems.gated_fusion import GatedFusion
from service.contract.labels import MODALITIES
from service.contract.manifest import Calibration
from tests.models.toy import recording, scene_set

CALIBRATION = Calibration({"0.50": 1.0, "0.90": 4.0, "0.95": 9.0}, 1.0, 2.0, 1.0, {})


def _predictions(error_m: list[tuple[float, float]], los: list[bool]) -> ScenePredictions:
    """Estimates with covariance diag(1, 4) m² and a slant, off by `error_m`."""
    count = len(error_m)
    truth = np.full((count, 2), 50.0, np.float32)
    return ScenePredictions(
        position_m=truth + np.array(error_m, np.float32),
        truth_m=truth,
        scale_tril=np.tile(np.array([[1.0, 0.0, 2.0]], np.float32), (count, 1)),
        los_logit=np.where(los, 4.0, -4.0).astype(np.float32),
        los=np.array(los),
        gate=np.full((count, 4), 0.25, np.float32),
        history=np.ones(count, np.int64),
        episode=np.zeros(count, np.int64),
        blocker=np.zeros(count, np.uint8),
        duplicate=np.zeros(count, bool),
    )


def test_scene_figures_by_hand() -> None:
    # Squared Mahalanobis lengths 1, 4.41, 1 and 16.
    found = scene_figures(_predictions([(1, 0), (2.1, 0), (0, 2), (0, 8)], [True, True, False, False]), CALIBRATION)
    assert found["region_90_coverage"] == 0.5
    assert found["region_95_coverage"] == 0.75
    assert found["region_90_median_area_m2"] == pytest.approx(np.pi * 4 * 1 * 2)
    assert found["los_position_mean_m"] == pytest.approx(1.55)
    assert found["nlos_position_mean_m"] == pytest.approx(5)
    assert found["nlos_share"] == 0.5
    assert found["frames"] == 4
    assert found["los_balanced_accuracy"] == 1
    assert found["los_ece"] == pytest.approx(1 - 1 / (1 + np.exp(-2)))  # logit 4 at temperature 2


def test_near_duplicates_of_training_frames_do_not_count() -> None:
    frames = _predictions([(1, 0), (2, 0), (0, 3), (0, 80)], [True, True, False, False])
    found = scene_figures(replace(frames, duplicate=np.array([False, False, False, True])), CALIBRATION)
    assert found["frames"] == 3
    assert found["position_mean_m"] == pytest.approx(2)
    assert found["nlos_share"] == pytest.approx(1 / 3)


def test_area_is_that_of_the_region() -> None:
    """By throwing darts: the share of a square that the coverage counts as inside."""
    rng = np.random.default_rng(0)
    darts = rng.uniform(-5, 5, (40_000, 2))
    thrown = _predictions([tuple(d) for d in darts], [True] * 39_999 + [False])
    thrown = replace(thrown, scale_tril=np.tile(np.array([[1.0, 0.8, 1.5]], np.float32), (40_000, 1)))
    found = scene_figures(thrown, CALIBRATION)
    assert found["region_90_median_area_m2"] == pytest.approx(100 * found["region_90_coverage"], rel=0.03)


@pytest.fixture(scope="module")
def measured() -> tuple[GatedFusion, Calibration, Data, dict[str, Figures]]:
    """An untrained model, fitted, calibrated and measured on toy data."""
    torch.manual_seed(1)
    model = GatedFusion().eval()
    parts = ("train", "val", "test")
    data = Data(
        {part: scene_set(episodes=2, snapshots=3, ues=2, seed=i) for i, part in enumerate(parts)},
        {part: [recording(a, 75, part, seed=i) for a in range(5)] for i, part in enumerate(parts)},
    )
    fit_novelty(model, data, MODALITIES)
    calibration = fit_calibration(model, data, MODALITIES)
    return model, calibration, data, measure(model, calibration, data, MODALITIES)


def test_every_figure_that_the_card_promises_is_measured(
    measured: tuple[GatedFusion, Calibration, Data, dict[str, Figures]],
) -> None:
    figures = measured[3]
    for split, key, *_ in card._GOALS:
        assert np.isfinite(figures[split][key]), (split, key)


def test_splits_are_all_subsets_that_a_request_may_bring(
    measured: tuple[GatedFusion, Calibration, Data, dict[str, Figures]],
) -> None:
    figures = measured[3]
    subsets = {name for name in figures if name.startswith("only ")}
    assert subsets == {"only csi", "only csi+camera", "only csi+radar", "only csi+lidar", "only camera+radar+lidar"}
    assert all(figures[name]["frames"] == 12 for name in (*subsets, "trajectories", "single frames"))
    assert figures["radhar windows"]["windows"] == figures["radhar streams"]["windows"] == 10


def test_calibration_covers_validation_and_both_sites(
    measured: tuple[GatedFusion, Calibration, Data, dict[str, Figures]],
) -> None:
    model, calibration, data, _ = measured
    assert set(calibration.ood_threshold) == {"toy", "radhar"}
    on_validation = measure(model, calibration, data, MODALITIES, "val")["trajectories"]
    assert on_validation["region_90_coverage"] >= 0.9


def test_novelty_is_fitted_on_both_domains(
    measured: tuple[GatedFusion, Calibration, Data, dict[str, Figures]],
) -> None:
    model = measured[0]
    assert (model.novelty.mean.abs().sum(1) > 0).all()
    assert novelty_scores(model.novelty, torch.full((5000, 128), 9.0)).shape == (5000,)
    assert novelty_scores(model.novelty, torch.full((1, 128), 9.0)) > 10


def test_terminals_that_are_away_are_no_training_embeddings() -> None:
    torch.manual_seed(1)
    model = GatedFusion().eval()
    train = scene_set(episodes=2, snapshots=3, ues=2)
    train.present[:, 1] = False
    fit_novelty(model, Data({"train": train}, {"train": []}), MODALITIES)
    fitted = model.novelty.mean[0].clone()
    train.csi[:, :, 1] *= 0
    fit_novelty(model, Data({"train": train}, {"train": []}), MODALITIES)
    assert torch.equal(model.novelty.mean[0], fitted)


def test_novelty_of_a_model_without_people_still_tells_strange_embeddings() -> None:
    torch.manual_seed(1)
    model = GatedFusion().eval()
    data = Data({"train": scene_set(episodes=2, snapshots=3, ues=2)}, {"train": []})
    fit_novelty(model, data, MODALITIES)
    strange = torch.where(torch.arange(128) % 2 == 0, 1.0, -1.0)[None]
    assert novelty_scores(model.novelty, strange) > 2


def test_single_modality_is_measured_without_the_others() -> None:
    torch.manual_seed(1)
    model = GatedFusion().eval()
    data = Data(
        {part: scene_set(2, 3, 2) for part in ("train", "val", "test")}, {p: [] for p in ("train", "val", "test")}
    )
    fit_novelty(model, data, ("csi",))
    assert set(measure(model, fit_calibration(model, data, ("csi",)), data, ("csi",))) == {
        "trajectories",
        "single frames",
    }


def test_instructions_are_understood_exactly_only_if_every_task_is_right() -> None:
    class Parrot:
        """Says that every text asks for the position and nothing else."""

        def fuser(self, embedding: torch.Tensor, *_: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"task_logits": torch.tensor([[1.0, -1.0, -1.0]]).expand(len(embedding), 3)}

    found = text_figures(Parrot())
    assert 0.1 < found["instruction_exact"] < 0.3  # a single task in 60 %, of which a third are the position
    assert found["instruction_exact"] < found["instruction_per_task"]
