from __future__ import annotations

from itertools import product

import pytest
import torch

from models.fusion import ModalityGate, SceneAttention

SUBSETS = [subset for subset in product((0.0, 1.0), repeat=4) if any(subset)]


@pytest.fixture(scope="module")
def gate() -> ModalityGate:
    torch.manual_seed(0)
    return ModalityGate(16, 4).eval()


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(str(int(v)) for v in s))
def test_gate_weighs_exactly_what_is_present(gate: ModalityGate, subset: tuple[float, ...]) -> None:
    mask = torch.tensor(subset).expand(9, 4)
    weight = gate(10 * torch.randn(9, 4, 16), mask)[1]
    torch.testing.assert_close(weight.sum(1), torch.ones(9))
    assert (weight[mask == 0] == 0).all()
    assert (weight[mask == 1] > 0).all()


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(str(int(v)) for v in s))
def test_content_of_a_missing_modality_cannot_reach_the_gate(gate: ModalityGate, subset: tuple[float, ...]) -> None:
    mask = torch.tensor(subset).expand(5, 4)
    clean = torch.randn(5, 4, 16)
    poisoned = torch.where(mask.bool().unsqueeze(-1), clean, 1e30 * torch.randn(5, 4, 16))
    for expected, got in zip(gate(clean, mask), gate(poisoned, mask), strict=True):
        assert torch.equal(expected, got)


def test_gate_looks_at_the_content(gate: ModalityGate) -> None:
    everything = torch.ones(2, 4)
    first, second = gate(3 * torch.randn(2, 4, 16), everything)[1]
    assert not torch.allclose(first, second, atol=1e-3)


def test_frame_without_any_modality_has_a_finite_answer(gate: ModalityGate) -> None:
    fused, weight = gate(torch.randn(3, 4, 16), torch.zeros(3, 4))
    assert torch.isfinite(fused).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(3))


def test_grouped_frames_give_what_gathered_frames_give() -> None:
    torch.manual_seed(0)
    look = SceneAttention(32, 16).eval()
    query, tokens = torch.randn(6, 32), torch.randn(3, 10, 16)
    gathered = look(query, tokens, torch.tensor([0, 0, 1, 1, 2, 2]))
    torch.testing.assert_close(look(query, tokens, None), gathered)


def test_order_of_the_tokens_does_not_matter_but_their_content_does() -> None:
    torch.manual_seed(0)
    look = SceneAttention(32, 16).eval()
    query, tokens, index = torch.randn(2, 32), torch.randn(1, 10, 16), torch.tensor([0, 0])
    expected = look(query, tokens, index)
    torch.testing.assert_close(look(query, tokens[:, torch.randperm(10)], index), expected)
    assert not torch.allclose(look(query, tokens + 1, index), expected, atol=1e-3)
