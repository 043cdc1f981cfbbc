"""What kNN and extremely randomised trees reach on the measured sets, each under the protocol of its set.

Nothing is chosen on a test part, but for the neighbours of `deepsense-random`, where the authors' own numbers are kept
so that the figure can be compared with theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import minmax_scale

from models.baselines import trees
from models.baselines.trees import Table
from models.data.measured import csu, deepsense, geotec, radhar
from models.data.measured.samples import MeasuredSet, Samples, join

DEEPSENSE_RUNS = (1, 2, 3, 4, 5)
DEEPSENSE_NEIGHBOURS = (5, 24, 65, 28, 9, 5, 13, 80, 54)
"""k of each scenario in the authors' program (jmoraispk/Position-Beam-Prediction), which chose it on test samples."""

_CSU_NEIGHBOURS = 20
_CSU_TOLERANCE = 1e-3  # the unused values are whole numbers: nearer than this is equal
_POWER_FLOOR = 1e-6  # keeps the logarithm finite; the lowest power of the set is 0.007


@dataclass(frozen=True)
class Forests:
    """How much is spent on trees: for each of `seeds` a forest of so many that tell an activity or a position."""

    seeds: tuple[int, ...] = (0, 1, 2)
    activity_trees: int = 400
    position_trees: int = 100


@dataclass(frozen=True)
class Result:
    """What one method reaches on one set.

    Attributes:
        set: key in `models.data.sets.SETS`.
        method: features and model.
        protocol: what it was trained and tested on, and where what had to be chosen was chosen.
        measure: what the values are, with their unit.
        digits: behind the point, as many as are worth quoting.
        seeds: of the runs; empty where nothing is random.
        values: by what was measured, the value of each run, or the only one.
    """

    set: str
    method: str
    protocol: str
    measure: str
    digits: int
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]

    def mean(self, name: str) -> float:
        """Over the runs."""
        return float(np.mean(self.values[name]))

    def std(self, name: str) -> float | None:
        """Over the runs, as of a sample of all possible ones; None where there is one run."""
        return float(np.std(self.values[name], ddof=1)) if len(self.values[name]) > 1 else None


def radhar_trees(folder: Path, forests: Forests) -> list[Result]:
    """ExtraTrees on the windows of RadHAR, trained on `train` alone and on both parts that are not the test."""
    tables = {part: trees.table(recordings) for part, recordings in radhar.by_part(folder).items()}
    train, val, test = (tables[part] for part in ("train", "val", "test"))
    alone, both = [], []
    for seed in forests.seeds:
        best = _tuned_classifier(train, val, seed, forests.activity_trees)
        alone.append(float(best.score(*test)))
        both.append(float(clone(best).fit(*_joined(train, val)).score(*test)))
    return [
        Result(
            radhar.SET.name,
            f"{forests.activity_trees} ExtraTrees over simple statistics of a window",
            "the authors' files for training and test; smallest leaf chosen on val, after training on train",
            "accuracy over windows", 4, forests.seeds,
            {"trained on train and val": tuple(both), "trained on train": tuple(alone)},
        )
    ]  # fmt: skip


def geotec_trees(folder: Path, forests: Forests) -> list[Result]:
    """ExtraTrees on the amplitudes of GeoTec, by how long after the training executions the test was."""
    tables = {part: _csi_table(geotec.SET.load(folder, part)) for part in geotec.SET.parts}
    train, val = tables["train"], tables["val"]
    both = _joined(train, val)
    fitted = [clone(_tuned_classifier(train, val, seed, forests.activity_trees)).fit(*both) for seed in forests.seeds]
    tests = {part.removeprefix("test-").upper(): table for part, table in tables.items() if part.startswith("test-")}
    return [
        Result(
            geotec.SET.name,
            f"{forests.activity_trees} ExtraTrees over the 56 × 50 amplitudes of a window",
            "the authors' executions 1 to 8 of D1 for training; smallest leaf chosen on val, then trained on train and "
            "val",
            "accuracy over windows", 3, forests.seeds,
            {name: tuple(float(forest.score(*table)) for forest in fitted) for name, table in tests.items()},
        )
    ]  # fmt: skip


def csu_neighbours(folder: Path, _forests: Forests) -> list[Result]:
    """KNN on the 56 subcarriers of CSU that carry a signal."""
    return [_csu(csu.SETS[0], folder, "kNN-20 on normalised amplitude of 56 subcarriers", nearest_packets)]


def csu_neighbours_as_published(folder: Path, _forests: Forests) -> list[Result]:
    """KNN on all 64 subcarriers of CSU, and what the 8 that carry no signal give away by themselves."""
    published = csu.SETS[1]
    return [
        _csu(published, folder, "kNN-20 on normalised amplitude of all 64 subcarriers", nearest_packets),
        _csu(published, folder, "middle of the places with the nearest 8 unused subcarriers", nearest_unused),
    ]


def nearest_packets(known: Samples, asked: Samples) -> NDArray[np.float64]:
    """Positions `[N, 2]` of `asked`: the mean of the 20 packets of `known` of the most similar amplitude."""
    near = KNeighborsRegressor(_CSU_NEIGHBOURS).fit(_normalised(known), known.labels["position"])
    return np.asarray(near.predict(_normalised(asked)), np.float64)


def nearest_unused(known: Samples, asked: Samples) -> NDArray[np.float64]:
    """Positions `[N, 2]` of `asked` without any radio: the mean of the places whose unused values are nearest.

    They hardly change over a recording, so that its first packet stands for all of it.
    """
    places = known.pick(np.unique(known.group, return_index=True)[1], known.part)
    one, other = (np.abs(samples.inputs["csi"][:, list(csu.UNUSED)]) for samples in (places, asked))
    distance = np.linalg.norm(other[:, None] - one, axis=-1)  # [N, places]
    nearest = distance <= distance.min(1, keepdims=True) + _CSU_TOLERANCE
    return np.asarray(nearest @ places.labels["position"].astype(np.float64) / nearest.sum(1, keepdims=True))


def deepsense_neighbours(folder: Path, _forests: Forests) -> list[Result]:
    """KNN from position to beam by the program of Morais et al., in each of their five runs."""
    values = {}
    ks = " ".join(map(str, DEEPSENSE_NEIGHBOURS))
    for number, k in zip(deepsense.SCENARIOS, DEEPSENSE_NEIGHBOURS, strict=True):
        samples = deepsense.read_scenario(folder, number)
        runs = (deepsense.random_split(len(samples), run) for run in DEEPSENSE_RUNS)
        values[f"scenario {number}"] = tuple(100 * nearest_beam_accuracy(samples, split, k) for split in runs)
    return [
        Result(
            "deepsense-random",
            "kNN on latitude and longitude, the most frequent beam of k neighbours",
            "the authors' five random splits, trained on train and val; both coordinates scaled to 0 to 1 over all "
            f"rows of a scenario; their k, by scenario {ks}, chosen on test samples",
            "top-1, %", 1, DEEPSENSE_RUNS, values,
        )
    ]  # fmt: skip


def nearest_beam_accuracy(samples: Samples, split: Mapping[str, NDArray[np.int64]], k: int) -> float:
    """Share of the test rows whose beam is the most frequent one of the k nearest; of equals the highest, as theirs."""
    scaled, beam = minmax_scale(samples.inputs["gps"]), samples.labels["beam"]
    known = np.concatenate([split["val"], split["train"]])
    distance = np.linalg.norm(scaled[split["test"]][:, None] - scaled[known], axis=-1)
    votes = beam[known][np.argsort(distance, axis=1, kind="stable")[:, :k]]
    count = (votes[..., None] == np.arange(deepsense.BEAMS)).sum(1)  # [N, beam]
    answer = deepsense.BEAMS - 1 - count[:, ::-1].argmax(1)
    return float((answer == beam[split["test"]]).mean())


def deepsense_trees(folder: Path, forests: Forests) -> list[Result]:
    """ExtraTrees from the power of 64 beams to a position, on drives that were not seen."""
    parts = {part: deepsense.read_drives(folder, part) for part in ("train", "val", "test")}
    values = {}
    for number in deepsense.SCENARIOS:
        train, val, test = (_power_table(samples, number) for samples in parts.values())
        both = _joined(train, val)
        best = [_tuned_regressor(train, val, seed, forests.position_trees) for seed in forests.seeds]
        values[f"scenario {number}"] = tuple(_mean_error_m(clone(forest).fit(*both), test) for forest in best)
    return [
        Result(
            "deepsense-drives",
            f"{forests.position_trees} ExtraTrees over the log power of 64 beams, half of them tried at a node",
            "a scenario by itself, tested on whole drives; smallest leaf chosen on val, then trained on train and val",
            "mean error, m", 2, forests.seeds, values,
        )
    ]  # fmt: skip


FIGURES: dict[str, Callable[[Path, Forests], list[Result]]] = {
    "radhar": radhar_trees,
    "geotec-csi": geotec_trees,
    "csu-csi": csu_neighbours,
    "csu-csi-as-published": csu_neighbours_as_published,
    "deepsense-random": deepsense_neighbours,
    "deepsense-drives": deepsense_trees,
}
"""By set, what computes its figures from its folder."""


def _csu(
    each: MeasuredSet, folder: Path, method: str, answer: Callable[[Samples, Samples], NDArray[np.float64]]
) -> Result:
    known, asked = join(each.load(folder, "train"), each.load(folder, "val")), each.load(folder, "test")
    errors = []
    for walk in np.unique(asked.labels["path"]):
        here, there = (samples.pick(samples.labels["path"] == walk, samples.part) for samples in (known, asked))
        errors.append(np.linalg.norm(answer(here, there) - there.labels["position"], axis=1))
    error_m = np.concatenate(errors)
    return Result(
        each.name, method,
        "the authors': all places of ref known, each walk by itself; nothing chosen, over all packets of test",
        "error, m", 2, (), {"mean": (float(error_m.mean()),), "median": (float(np.median(error_m)),)},
    )  # fmt: skip


def _normalised(samples: Samples) -> NDArray[np.float32]:
    amplitude = np.abs(samples.inputs["csi"])
    return np.asarray(amplitude / np.linalg.norm(amplitude, axis=1, keepdims=True), np.float32)


def _csi_table(samples: Samples) -> Table:
    return np.reshape(samples.inputs["csi"], (len(samples), -1)), samples.labels["activity"]


def _power_table(samples: Samples, scenario: int) -> Table:
    here = samples.pick(samples.labels["scenario"] == scenario, samples.part)
    return np.log(here.inputs["beam_power"] + np.float32(_POWER_FLOOR)), here.labels["position"]


def _joined(one: Table, other: Table) -> Table:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _tuned_classifier(train: Table, val: Table, seed: int, count: int) -> ExtraTreesClassifier:
    forest = ExtraTreesClassifier(count, random_state=seed, n_jobs=-1)
    return trees.tuned(forest, train, lambda fitted: float(fitted.score(*val)))


def _tuned_regressor(train: Table, val: Table, seed: int, count: int) -> ExtraTreesRegressor:
    forest = ExtraTreesRegressor(count, max_features=0.5, random_state=seed, n_jobs=-1)
    return trees.tuned(forest, train, lambda fitted: -_mean_error_m(fitted, val))


def _mean_error_m(forest: ExtraTreesRegressor, asked: Table) -> float:
    return float(np.linalg.norm(forest.predict(asked[0]) - asked[1], axis=1).mean())
