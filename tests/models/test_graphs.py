from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.compare import load_run
from models.graphs import TOLERANCE, EncodeGraph, FuseGraph, parity, random_inputs
from models.systems.gated_fusion import GatedFusion
from service.contract.tensors import GRAPHS, TRAJECTORY_LEN


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(("captures", "frames", "steps"), [(1, 1, 1), (3, 8, 4), (7, 33, TRAJECTORY_LEN)])
def test_random_inputs_keep_the_contract(graph: str, captures: int, frames: int, steps: int) -> None:
    inputs = random_inputs(graph, captures, frames, np.random.default_rng(0), steps)
    specs, _ = GRAPHS[graph]
    assert list(inputs) == [spec.name for spec in specs]
    for spec in specs:
        spec.check(inputs[spec.name])
        assert spec.low is None or inputs[spec.name].min() >= spec.low
        assert spec.high is None or inputs[spec.name].max() <= spec.high
    if graph == "encode":
        assert inputs["scene_index"].max() < captures
    else:
        assert (inputs["step_mask"][:, -1] == 1).all()
        assert inputs["step_mask"].sum(1).max() <= steps
        assert (inputs["age"][:, -1] == 0).all()


def test_random_inputs_have_every_length_and_every_mask() -> None:
    rng = np.random.default_rng(0)
    assert set(random_inputs("fuse", 1, 200, rng)["step_mask"].sum(1)) == set(range(1, TRAJECTORY_LEN + 1))
    assert len(np.unique(random_inputs("encode", 100, 4, rng)["scene_mask"], axis=0)) == 8


@pytest.mark.parametrize("graph", GRAPHS)
def test_modules_answer_in_the_order_and_the_shapes_of_the_contract(graph: str, model: GatedFusion) -> None:
    specs_in, specs_out = GRAPHS[graph]
    inputs = random_inputs(graph, 2, 5, np.random.default_rng(0))
    module = EncodeGraph(model.encoder) if graph == "encode" else FuseGraph(model)
    with torch.no_grad():
        outputs = module(*(torch.from_numpy(inputs[spec.name]) for spec in specs_in))
    assert len(outputs) == len(specs_out)
    for spec, value in zip(specs_out, outputs, strict=True):
        spec.check(value.numpy())
        assert spec.low is None or value.min() >= spec.low - 1e-6
        assert spec.high is None or value.max() <= spec.high + 1e-6


def test_exported_graphs_give_torchs_numbers(exported: Path) -> None:
    """Over batch sizes, captures, masks and lengths, with other random inputs than those that the export checks."""
    model, _ = load_run(exported.parent.parent / "run")
    model.novelty.mean[:] = torch.from_numpy(_initializer(exported / "fuse.onnx", (2, 128)))
    model.novelty.whiten[:] = torch.from_numpy(_initializer(exported / "fuse.onnx", (2, 128, 128)))
    gaps = parity(model, exported, seed=123)
    assert set(gaps) == {spec.name for _, outputs in GRAPHS.values() for spec in outputs}
    assert max(gaps.values()) < TOLERANCE


def _initializer(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The only constant of a graph that has this shape."""
    (found,) = (i for i in onnx.load(path).graph.initializer if tuple(i.dims) == shape)
    return onnx.numpy_helper.to_array(found).copy()
