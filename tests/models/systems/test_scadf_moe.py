"""What serving relies on: masks, routing, batch-mates, padding and time. The weights are untrained: this holds for any.

Nearly everything is computed in double precision, where another size of a batch rounds too little to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.encoders.cues import CUES
from models.estimates import pack_estimates, unpack_estimates
from models.moe import KEPT, Routing
from models.systems.scadf_moe import TASKS, Design, ScadfMoe, line_fit

Inputs = dict[str, Tensor]
SITES, LONGEST = 3, 16
ROUTINGS: tuple[Routing, ...] = ("soft", "hard", "none")
PER_STEP = ("position", "scale_tril", "los_logit", "step_weight", "expert_weight", "expert_outputs")
PER_ROW = ("centroid", "centroid_scale_tril")


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def model() -> ScadfMoe:
    return _model(Design())


def _model(design: Design) -> ScadfMoe:
    """Weights large enough that everything has a say."""
    torch.manual_seed(3)
    model = ScadfMoe(design, SITES).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    return model


def _inputs(rows: int = 12, seed: int = 0) -> Inputs:
    """Frames with every cue."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "csi": torch.rand(rows, 6, 32, 64, generator=draw),
        "aoa": torch.rand(rows, 64, generator=draw),
        "distance": 0.2 + torch.rand(rows, 1, generator=draw),
        "gain": torch.randn(rows, 1, generator=draw),
        "cue_mask": torch.ones(rows, len(CUES)),
        "carrier": torch.tensor([2.6, 6.0, 28.0]).log10()[torch.arange(rows) % 3].unsqueeze(1),
        "site": torch.arange(rows) % (SITES + 1),
    }


def _some_cues(rows: int) -> Tensor:
    """Masks with every subset of the cues, but for the empty one."""
    return torch.tensor([[float(1 + row % 15 >> cue & 1) for cue in range(4)] for row in range(rows)])


def _trajectories(rows: int = 4, steps: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, ages and masks of whole trajectories."""
    draw = torch.Generator().manual_seed(seed)
    place = 60 + 20 * torch.randn(rows, steps, 2, generator=draw)
    scale = 0.5 + torch.rand(rows, steps, 3, generator=draw)
    estimate = pack_estimates(place, scale, torch.randn(rows, steps, 1, generator=draw))
    embedding = torch.cat([torch.rand(rows, steps, 122, generator=draw) - 0.5, estimate], -1)
    age = 0.1 * (torch.rand(rows, steps, generator=draw) + 0.5).cumsum(1).flip(1)
    return embedding, age - age[:, -1:], torch.ones(rows, steps)


def _padded(given: tuple[Tensor, Tensor, Tensor], steps: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same trajectories with garbage in front."""
    draw = torch.Generator().manual_seed(seed)
    embedding, age, mask = given
    more = steps - age.shape[1]
    return (
        torch.cat([3 * torch.randn(len(age), more, 128, generator=draw), embedding], 1),
        torch.cat([50 * torch.rand(len(age), more, generator=draw), age], 1),
        torch.cat([torch.zeros(len(age), more), mask], 1),
    )


# Encoder


@pytest.mark.parametrize("routing", ROUTINGS)
def test_router_weights_sum_to_one_and_a_masked_cue_gets_none(routing: Routing) -> None:
    inputs = _inputs(32) | {"cue_mask": _some_cues(32)}
    _, weight = _model(Design(routing=routing)).encoder(**inputs)
    assert (weight[inputs["cue_mask"] == 0] == 0).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(32))


def test_hard_routing_looks_at_two_cues_at_most_and_none_at_all_alike() -> None:
    inputs = _inputs(32) | {"cue_mask": _some_cues(32)}
    soft, hard, alike = (_model(Design(routing=routing)).encoder(**inputs)[1] for routing in ROUTINGS)
    present = inputs["cue_mask"].sum(1)
    torch.testing.assert_close((soft > 0).sum(1), present.long())
    torch.testing.assert_close((hard > 0).sum(1), present.clamp(max=KEPT).long())
    torch.testing.assert_close(alike, inputs["cue_mask"] / present.unsqueeze(1))


def test_frame_without_any_cue_still_has_an_answer(model: ScadfMoe) -> None:
    embedding, weight = model.encoder(**_inputs() | {"cue_mask": torch.zeros(12, 4)})
    assert (weight == 0).all()
    assert embedding.isfinite().all()


@pytest.mark.parametrize("cue", range(4))
def test_content_of_a_missing_cue_changes_nothing(model: ScadfMoe, cue: int) -> None:
    inputs = _inputs()
    inputs["cue_mask"][:, cue] = 0
    changed = inputs | {CUES[cue]: 1e3 * torch.randn(inputs[CUES[cue]].shape)}
    for mine, other in zip(model.encoder(**inputs), model.encoder(**changed), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("cue", range(4))
def test_cue_that_the_design_leaves_out_changes_nothing(cue: int) -> None:
    encoder = _model(Design(cues=tuple(name for name in CUES if name != CUES[cue]))).encoder
    inputs = _inputs()
    changed = inputs | {CUES[cue]: 1e3 * torch.randn(inputs[CUES[cue]].shape)}
    masked = inputs | {"cue_mask": inputs["cue_mask"].index_fill(1, torch.tensor([cue]), 0.0)}
    embedding, weight = encoder(**inputs)
    assert (weight[:, cue] == 0).all()
    for other in (changed, masked):
        assert torch.equal(embedding, encoder(**other)[0])


@pytest.mark.parametrize("name", [*CUES, "carrier", "site"])
def test_everything_that_is_there_is_listened_to(model: ScadfMoe, name: str) -> None:
    inputs = _inputs()
    embedding, weight = model.encoder(**inputs)
    other, other_weight = model.encoder(**inputs | {name: inputs[name].roll(1, 0)})
    assert ((embedding - other).abs().amax(1) > 1e-4).all()
    assert ((weight - other_weight).abs().amax(1) > 1e-6).all()


def test_frames_of_a_batch_never_meet(model: ScadfMoe) -> None:
    inputs = _inputs() | {"cue_mask": _some_cues(12)}
    order = torch.randperm(12)[:7]
    whole, some = model.encoder(**inputs), model.encoder(**{name: values[order] for name, values in inputs.items()})
    for mine, theirs in zip(whole, some, strict=True):
        torch.testing.assert_close(mine[order], theirs)


def test_embedding_carries_an_estimate_around_the_polar_guess_where_that_is_believed() -> None:
    torch.manual_seed(0)
    encoder = ScadfMoe(Design(), SITES).eval().encoder
    for weight in encoder.position.net[-1].parameters():
        nn.init.zeros_(weight)  # no correction
    nn.init.constant_(encoder.believe.bias, 40.0)
    inputs = _inputs()
    inputs["aoa"] = torch.nn.functional.one_hot(torch.arange(12) + 26, 64).double() * 4  # sharp
    place, _, _ = unpack_estimates(encoder(**inputs)[0])
    sine = (torch.arange(12) + 26 - 32) / 32
    expected = 100 * inputs["distance"] * torch.stack([(1 - sine**2).sqrt(), sine], 1)
    torch.testing.assert_close(place, expected, atol=1e-6, rtol=0)


# Fuser


@pytest.mark.parametrize("routing", ROUTINGS)
def test_trajectories_of_a_batch_never_meet(routing: Routing) -> None:
    fuser = _model(Design(routing=routing)).fuser
    given = _trajectories(8)
    given[2][::2, :3] = 0
    order = torch.randperm(8)[:5]
    whole, some = fuser(*given), fuser(*(values[order] for values in given))
    for name, values in some.items():
        torch.testing.assert_close(whole[name][order], values, msg=name)


@pytest.mark.parametrize("vertices", range(1, LONGEST + 1))
@pytest.mark.parametrize("design", [Design(), Design(layers=0)], ids=["layers", "none"])
def test_answer_is_the_same_however_long_the_padding_and_whatever_is_in_it(design: Design, vertices: int) -> None:
    fuser = _model(design).fuser
    given = _trajectories(3, vertices)
    expected = fuser(*given)
    for steps in {vertices, min(vertices + 1, LONGEST), LONGEST}:
        found = fuser(*_padded(given, steps, seed=steps))
        for name in PER_STEP:
            torch.testing.assert_close(found[name][:, -vertices:], expected[name], msg=name)
        for name in PER_ROW:
            torch.testing.assert_close(found[name], expected[name], msg=name)


def test_padding_changes_no_bit_in_single_precision(model: ScadfMoe) -> None:
    torch.set_default_dtype(torch.float32)
    fuser = model.fuser.float()
    first, other = (fuser(*(v.float() for v in _padded(_trajectories(), LONGEST, seed))) for seed in (1, 2))
    for name in PER_STEP:
        assert torch.equal(first[name][:, -6:], other[name][:, -6:]), name
    for name in PER_ROW:
        assert torch.equal(first[name], other[name]), name


def test_answer_depends_on_the_time_between_vertices(model: ScadfMoe) -> None:
    embedding, age, mask = _trajectories()
    slower = model.fuser(embedding, 3 * age, mask)
    for name, values in model.fuser(embedding, age, mask).items():
        assert not torch.allclose(values, slower[name], atol=1e-4), name


def test_order_of_the_vertices_is_told_by_their_ages_alone(model: ScadfMoe) -> None:
    given = _trajectories()
    order = torch.randperm(6)
    whole, mixed = model.fuser(*given), model.fuser(*(values[:, order] for values in given))
    for name in PER_STEP:
        torch.testing.assert_close(whole[name][:, order], mixed[name], msg=name)
    for name in PER_ROW:
        torch.testing.assert_close(whole[name], mixed[name], msg=name)


def test_every_vertex_has_a_say_in_the_newest(model: ScadfMoe) -> None:
    embedding, age, mask = _trajectories(1)
    newest = model.fuser(embedding, age, mask)["position"][:, -1]
    for step in range(5):
        without = mask.index_fill(1, torch.tensor([step]), 0.0)
        assert not torch.allclose(newest, model.fuser(embedding, age, without)["position"][:, -1], atol=1e-4)


def test_expert_weights_are_shares_of_every_task() -> None:
    for routing, slots, most in (("soft", 4, 4), ("hard", 4, KEPT), ("none", 1, 1)):
        weight = _model(Design(routing=routing)).fuser(*_trajectories())["expert_weight"]
        assert weight.shape == (4, 6, len(TASKS), slots)
        assert (weight > 0).sum(-1).max() == most
        torch.testing.assert_close(weight.sum(-1), torch.ones(4, 6, len(TASKS)))


def test_step_weights_are_shares_of_the_vertices_that_are_there(model: ScadfMoe) -> None:
    weight = model.fuser(*_padded(_trajectories(), 9, seed=0))["step_weight"]
    assert (weight[:, :3] == 0).all()
    assert (weight[:, 3:] > 0).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(4))


def _without_correction(model: ScadfMoe) -> ScadfMoe:
    for head in (model.fuser.vertex, model.fuser.centroid):
        for weight in head.net[-1].parameters():
            nn.init.zeros_(weight)
    return model


def test_untaught_answer_goes_half_way_to_the_line_that_certain_vertices_draw(model: ScadfMoe) -> None:
    for weight in _without_correction(model).fuser.trust.parameters():
        nn.init.zeros_(weight)
    embedding, age, mask = _trajectories()
    place, scale, _ = unpack_estimates(embedding)
    line = line_fit(place, age, -(scale[..., 0] * scale[..., 2]).log(), mask)
    torch.testing.assert_close(model.fuser(embedding, age, mask)["position"], (place + line) / 2)


def test_centroid_is_the_mean_of_the_vertices_but_for_a_correction(model: ScadfMoe) -> None:
    given = _padded(_trajectories(), 9, seed=0)
    out = _without_correction(model).fuser(*given)
    torch.testing.assert_close(out["centroid"], out["position"][:, -6:].mean(1))


def test_single_vertex_is_its_own_line_and_centroid_but_for_a_correction(model: ScadfMoe) -> None:
    given = _trajectories(steps=1)
    place, _, _ = unpack_estimates(given[0])
    out = _without_correction(model).fuser(*_padded(given, 8, seed=0))
    torch.testing.assert_close(out["position"][:, -1:], place)
    torch.testing.assert_close(out["centroid"], place[:, 0])


# Line fit


def _walk(rows: int = 5, steps: int = 9) -> tuple[Tensor, Tensor]:
    """Places on straight lines, and ages of minutes, beside which the ridge vanishes."""
    age = 60 * torch.rand(rows, steps).cumsum(1).flip(1)
    return 50 * torch.randn(rows, 1, 2) - age.unsqueeze(-1) * torch.randn(rows, 1, 2), age


def test_line_is_that_of_weighted_least_squares() -> None:
    torch.manual_seed(1)
    place, age = _walk()
    place, logit = place + 10 * torch.randn_like(place), torch.randn(age.shape)
    mask = (torch.rand(age.shape) > 0.3).double()
    found = line_fit(place, age, logit, mask)
    for row in range(len(age)):
        there = mask[row] > 0
        for axis in (0, 1):
            expected = np.polyfit(-age[row][there], place[row][there, axis], 1, w=(logit[row][there] / 2).exp())
            np.testing.assert_allclose(found[row, :, axis], np.polyval(expected, -age[row]), atol=0.02)


def test_straight_track_is_its_own_line() -> None:
    torch.manual_seed(2)
    place, age = _walk()
    found = line_fit(place, age, torch.randn(age.shape), torch.ones_like(age))
    torch.testing.assert_close(found, place, atol=0.02, rtol=0)


def test_line_through_vertices_of_one_time_is_their_weighted_mean() -> None:
    torch.manual_seed(3)
    place, logit = torch.randn(4, 6, 2), torch.randn(4, 6)
    found = line_fit(place, torch.full((4, 6), 2.0), logit, torch.ones(4, 6))
    expected = (torch.softmax(logit, 1).unsqueeze(-1) * place).sum(1, keepdim=True)
    torch.testing.assert_close(found, expected.expand(-1, 6, -1))


def test_ridge_slows_a_line_whose_vertices_are_close_in_time() -> None:
    age = torch.tensor([[0.2, 0.0]])
    place = torch.stack([-5 * age, torch.zeros(1, 2)], -1)  # at 5 m/s
    speed = line_fit(place, age, torch.zeros(1, 2), torch.ones(1, 2)).diff(dim=1)[0, 0, 0] / 0.2
    variance_s2 = 0.1**2
    assert speed.item() == pytest.approx(5 * variance_s2 / (variance_s2 + 0.002))


# Training


def _unreached(design: Design) -> set[str]:
    """Names of the weights that no gradient reaches from any answer."""
    torch.manual_seed(5)
    model = ScadfMoe(design, SITES).train()
    inputs = _inputs(24)
    inputs["cue_mask"][::3, 2] = 0
    embedding, _ = model.encoder(**inputs)
    embedding = embedding.double().unflatten(0, (4, 6))
    _, age, mask = _trajectories()
    mask[0, :2] = 0
    out = model.fuser(embedding, age, mask)
    own = unpack_estimates(embedding)
    answers = [out[name] for name in (*PER_STEP[:3], *PER_ROW)] + list(own)
    sum((values * torch.randn(values.shape)).sum() for values in answers).backward()
    return {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}


@pytest.fixture
def _single_precision_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutions train in bfloat16; here they may stay as they are."""
    monkeypatch.setattr("models.encoders.blocks.ConvStack.forward", nn.Sequential.forward)


@pytest.mark.usefixtures("_single_precision_convolutions")
@pytest.mark.parametrize(
    ("design", "left_out"),
    [
        (Design(), lambda _: False),
        (Design(layers=0), lambda _: False),
        (Design(routing="hard"), lambda _: False),
        (Design(routing="none"), lambda name: ".score." in name),
        (Design(cues=("aoa", "distance", "gain")), lambda name: ".csi." in name or "tokens.norm.0" in name),
    ],
)
def test_gradients_reach_every_weight_that_the_design_uses(design: Design, left_out: Callable[[str], bool]) -> None:
    unreached = _unreached(design)
    names = [name for name, _ in ScadfMoe(design, SITES).named_parameters()]
    shifts = {name for name in names if name.endswith(("attention.key.bias", "attention.bias.net.2.bias"))}
    assert unreached - shifts == {name for name in names if left_out(name)}  # a softmax does not see a shift
