from __future__ import annotations

import pytest
import torch

from models.moe import KEPT, CueRouter, Routing, TaskExperts, route

ROUTINGS: tuple[Routing, ...] = ("soft", "hard", "none")


@pytest.mark.parametrize("routing", ROUTINGS)
def test_weights_sum_to_one_and_missing_slots_get_none(routing: Routing) -> None:
    logits = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    mask = (torch.rand(64, 4, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    mask[0] = 0
    mask[1:, 2] = 1  # at least one
    weight = route(logits, routing, mask)
    assert (weight[mask == 0] == 0).all()
    torch.testing.assert_close(weight.sum(-1), mask.amax(-1))


def test_soft_routing_is_the_softmax_over_present_slots() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    expected = torch.softmax(torch.tensor([1.0, 3.0]), 0)
    torch.testing.assert_close(route(logits, "soft", torch.tensor([[1.0, 0.0, 1.0]]))[0, [0, 2]], expected)


def test_hard_routing_keeps_the_largest() -> None:
    weight = route(torch.tensor([[0.1, 3.0, 2.0, -1.0]]), "hard")
    assert (weight > 0).sum() == KEPT
    assert weight[0, 1] > weight[0, 2] > 0


def test_missing_cue_cannot_change_what_the_router_says() -> None:
    torch.manual_seed(0)
    router = CueRouter(4, 8, 3)
    cues, context, mask = torch.randn(5, 4, 8), torch.randn(5, 3), torch.ones(5, 4)
    mask[:, 1] = 0
    changed = cues.clone()
    changed[:, 1] = 100 * torch.randn(5, 8)
    for mine, other in zip(router(cues, mask, context), router(changed, mask, context), strict=True):
        assert torch.equal(mine, other)


def test_router_listens_to_its_context() -> None:
    torch.manual_seed(0)
    router = CueRouter(4, 8, 3)
    cues, mask = torch.randn(1, 4, 8).expand(2, -1, -1), torch.ones(2, 4)
    _, weight = router(cues, mask, torch.tensor([[0.0, 0.0, 1.0], [5.0, 0.0, 0.0]]))
    assert not torch.allclose(weight[0], weight[1], atol=1e-3)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_batch_mates_never_matter(routing: Routing) -> None:
    torch.manual_seed(0)
    experts, features = TaskExperts(8, 3, routing=routing).double(), torch.randn(6, 5, 8).double()
    order = torch.randperm(6)
    mixed, weight, outputs = experts(features)
    for whole, shuffled in zip((mixed, weight, outputs), experts(features[order]), strict=True):
        torch.testing.assert_close(whole[order], shuffled)
    torch.testing.assert_close(weight.sum(-1), torch.ones(6, 5, 3).double())


def test_every_task_mixes_the_same_experts_by_its_own_weights() -> None:
    torch.manual_seed(0)
    experts, features = TaskExperts(8, 2), torch.randn(4, 8)
    mixed, weight, outputs = experts(features)
    for task in range(2):
        expected = features + sum(weight[:, task, e, None] * outputs[:, e] for e in range(4))
        torch.testing.assert_close(mixed[:, task], expected)
    assert not torch.allclose(weight[:, 0], weight[:, 1])


def test_without_routing_there_is_one_expert_as_large_as_all() -> None:
    count = {r: sum(p.numel() for p in TaskExperts(32, 3, routing=r).parameters()) for r in ROUTINGS}
    assert count["soft"] == count["hard"]
    assert abs(count["none"] / count["soft"] - 1) < 0.05
