import numpy as np
import pytest

from service.contract.labels import CUES
from service.contract.tensors import CONTRACTS, TRAJECTORY_LEN, TensorSpec

SPEC = TensorSpec("picture", "float32", ("B", 3, "T"), "frame, channel, step", "1", 0, 1)


@pytest.mark.parametrize("shape", [(1, 3, 1), (7, 3, 20)])
def test_free_dimensions_take_any_size_of_at_least_one(shape):
    SPEC.check(np.zeros(shape, np.float32))


def test_there_may_be_no_captures_but_never_no_frames():
    by_name = {spec.name: spec for spec in CONTRACTS["multimodal"].graphs["encode"][0]}
    assert by_name["scene_mask"].fits((0, 3))
    assert not by_name["scene_mask"].fits((0, 4))
    assert not by_name["csi_mask"].fits((0, 1))


def test_a_wrong_dtype_is_named_with_the_expected_one():
    with pytest.raises(ValueError, match=r"^picture: expected dtype float32, got float64$"):
        SPEC.check(np.zeros((1, 3, 1)))


@pytest.mark.parametrize("shape", [(1, 4, 1), (1, 3), (1, 3, 1, 1), (0, 3, 1), (1, 3, 0), ()])
def test_a_wrong_shape_is_named_with_the_expected_one(shape):
    with pytest.raises(ValueError, match="picture") as caught:
        SPEC.check(np.zeros(shape, np.float32))
    assert str(caught.value) == f"picture: expected shape ['B', 3, 'T'], got {list(shape)}"


def test_json_carries_every_property():
    assert SPEC.to_json() == {
        "name": "picture",
        "dtype": "float32",
        "shape": ["B", 3, "T"],
        "layout": "frame, channel, step",
        "unit": "1",
        "low": 0,
        "high": 1,
    }


def test_json_says_how_few_there_may_be_where_that_is_not_one():
    optional = TensorSpec("pictures", "uint8", ("S", 3), "capture, rgb", "1", least=0)
    assert optional.to_json()["least"] == 0
    assert TensorSpec.from_json(optional.to_json()) == optional
    for least, shape in ((-1, ["S", 3]), (0.5, ["S", 3]), (0, ["B", 3])):
        with pytest.raises(ValueError, match="the least of these"):
            TensorSpec.from_json({"name": "x", "dtype": "uint8", "shape": shape, "least": least})


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_names_are_unique_among_the_inputs_and_among_the_outputs_of_a_graph(contract):
    for specs in (specs for graph in contract.graphs.values() for specs in graph):
        names = [spec.name for spec in specs]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_the_embedding_that_one_graph_writes_fits_the_trajectory_that_the_other_reads(contract):
    written = next(spec for spec in contract.graphs["encode"][1] if spec.name == "embedding")
    read = next(spec for spec in contract.graphs["fuse"][0] if spec.name == "embedding")
    assert (written.dtype, written.shape[-1]) == (read.dtype, read.shape[-1])


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_trajectories_have_as_many_steps_as_their_contract_says(contract):
    inputs, outputs = contract.graphs["fuse"]
    shapes = {spec.name: spec.shape for spec in (*inputs, *outputs)}
    for name in ("embedding", "age", "step_mask", "step_weight"):
        steps = shapes[name][1]
        assert (TRAJECTORY_LEN if steps == "T" else steps) == contract.steps


def test_cues_are_masked_and_weighed_in_the_order_of_their_names():
    inputs, outputs = CONTRACTS["radio"].graphs["encode"]
    layouts = {spec.name: spec.layout for spec in (*inputs, *outputs)}
    assert layouts["cue_mask"] == layouts["router_weight"] == f"frame, ({', '.join(CUES)})"
