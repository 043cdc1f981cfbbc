"""Everything that is measured of one trained model: calibrated on validation, then reported once on test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.calibration import calibrate, coverage
from models.data import instructions
from models.data.measured.radhar import SITE as RADHAR_SITE
from models.data.measured.radhar import Recording
from models.data.raytraced_set import RayTracedSet
from models.exported import ExportedModel
from models.metrics import Figures, activity_figures, los_figures, position_figures, sigmoid, softmax
from models.novelty import Novelty
from models.predict import (
    ActivityPredictions,
    ScenePredictions,
    embed_scene,
    fuse_scene,
    predict_scene,
    predict_windows,
)
from models.systems.gated_fusion import GatedFusion
from service.contract.labels import MODALITIES
from service.contract.manifest import Calibration

Model = GatedFusion | ExportedModel
SUBSETS: tuple[tuple[str, ...], ...] = (
    MODALITIES,
    ("csi",),
    ("csi", "camera"),
    ("csi", "radar"),
    ("csi", "lidar"),
    ("camera", "radar", "lidar"),
)
"""Modalities that a request may bring, to show what each is worth to the one served model."""


@dataclass(frozen=True)
class Data:
    """The parts of both data sets; RadHAR may be empty."""

    scene: dict[str, RayTracedSet]
    people: dict[str, list[Recording]]


NOVELTY_EPISODES = 24  # of each part that the novelty score is fitted and calibrated on: over 20,000 embeddings


def fit_novelty(model: GatedFusion, data: Data, modalities: tuple[str, ...]) -> None:
    """Fit the novelty score on training embeddings of both domains, over subsets of modalities."""
    model.novelty.fit(0, _street_embeddings(model, data.scene["train"], modalities))
    if data.people["train"] and "radar" in modalities:
        model.novelty.fit(1, torch.from_numpy(predict_windows(model, data.people["train"], 1).embedding))


def fit_calibration(model: GatedFusion, data: Data, modalities: tuple[str, ...]) -> Calibration:
    """Calibrate on the validation parts."""
    val = data.scene["val"]
    scores = {val.site.name: novelty_scores(model.novelty, _street_embeddings(model, val, modalities))}
    people = None
    if data.people["val"] and "radar" in modalities:
        people = predict_windows(model, data.people["val"], 1)
        scores[RADHAR_SITE.name] = novelty_scores(model.novelty, torch.from_numpy(people.embedding))
    return calibrate(predict_scene(model, val, modalities), people, scores)


def _street_embeddings(model: Model, data: RayTracedSet, modalities: tuple[str, ...]) -> Tensor:
    """Embeddings `[N, 128]` of some episodes, over every subset of modalities that the model may see."""
    some = data.first(NOVELTY_EPISODES)
    subsets = [s for s in SUBSETS if set(s) <= set(modalities)] or [modalities]
    found = [some.frames(embed_scene(model, some, s).embedding.numpy()) for s in subsets]
    return torch.from_numpy(np.concatenate(found))


@torch.no_grad()
def novelty_scores(novelty: Novelty, embedding: Tensor) -> NDArray[np.float32]:
    """Novelty of embeddings `[N, 128]`, `[N]`."""
    return np.asarray(torch.cat([novelty(part) for part in embedding.split(4096)]).numpy())


def scene_figures(scene: ScenePredictions, calibration: Calibration) -> Figures:
    """Position, coverage and line-of-sight figures of a part; also apart for LoS and NLoS.

    Near duplicates of training frames do not count.
    """
    scene = scene.counted()
    figures = position_figures(scene.position_m, scene.truth_m)
    figures["region_90_coverage"] = coverage(scene, calibration, 0.9)
    figures["region_95_coverage"] = coverage(scene, calibration, 0.95)
    area = np.pi * calibration.region_quantile["0.90"] * np.abs(scene.scale_tril[:, 0] * scene.scale_tril[:, 2])
    figures["region_90_median_area_m2"] = float(np.median(area))
    figures |= los_figures(sigmoid(scene.los_logit / calibration.los_temperature), scene.los)
    for name, chosen in (("los", scene.los), ("nlos", ~scene.los)):
        part = position_figures(scene.position_m[chosen], scene.truth_m[chosen])
        figures |= {f"{name}_{key}": part[key] for key in ("position_mean_m", "position_median_m", "position_p95_m")}
    figures["frames"] = float(len(scene.los))
    figures["nlos_share"] = float((~scene.los).mean())
    return figures


def people_figures(people: ActivityPredictions, calibration: Calibration) -> Figures:
    """Activity figures of a part."""
    figures = activity_figures(softmax(people.logits / calibration.activity_temperature), people.activity)
    figures["windows"] = float(len(people.activity))
    return figures


def text_figures(model: Model, seed: int = 0) -> Figures:
    """Share of held-out instructions whose set of tasks is understood exactly, and of single tasks."""
    tokens, wanted = instructions.draw(600, np.random.default_rng(seed), held_out=True)
    rows = len(tokens)
    zeros = torch.zeros(rows, 1, 128)
    with torch.no_grad():
        out = model.fuser(zeros, torch.zeros(rows, 1), torch.ones(rows, 1), torch.from_numpy(tokens))
    right = (out["task_logits"].numpy() > 0) == (wanted > 0.5)
    return {"instruction_exact": float(right.all(1).mean()), "instruction_per_task": float(right.mean())}


def measure(
    model: Model, calibration: Calibration, data: Data, modalities: tuple[str, ...], part: str = "test"
) -> dict[str, Figures]:
    """All figures of one model on one part, by split."""
    scene = data.scene[part]
    embedded = embed_scene(model, scene, modalities)
    figures = {"trajectories": scene_figures(fuse_scene(model, scene, embedded), calibration)}
    figures["single frames"] = scene_figures(fuse_scene(model, scene, embedded, longest=1), calibration)
    if len(modalities) > 1:
        for subset in SUBSETS[1:]:
            name = "only " + "+".join(subset)
            figures[name] = scene_figures(predict_scene(model, scene, subset), calibration)
        figures["instructions"] = text_figures(model)
    if data.people[part] and "radar" in modalities:
        figures["radhar windows"] = people_figures(predict_windows(model, data.people[part], 1), calibration)
        figures["radhar streams"] = people_figures(predict_windows(model, data.people[part], 8), calibration)
    return figures
