from __future__ import annotations

import torch

from models.sequence import CausalAttention, causal_gaps

AGE_S = torch.tensor([[3.0, 2.5, 0.5, 0.0]])  # uneven
MASK = torch.tensor([[0.0, 1.0, 1.0, 1.0]])


def test_gaps_are_the_time_from_an_earlier_step_to_a_later_one() -> None:
    gap_s, _ = causal_gaps(AGE_S, MASK)
    for later in range(4):
        for earlier in range(later + 1):
            assert gap_s[0, later, earlier] == AGE_S[0, earlier] - AGE_S[0, later]


def test_steps_may_attend_to_themselves_and_to_earlier_ones_that_are_present() -> None:
    _, allowed = causal_gaps(AGE_S, MASK)
    assert allowed[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]


def test_weights_are_zero_where_not_allowed_and_sum_to_one() -> None:
    torch.manual_seed(0)
    attend = CausalAttention(16).eval()
    gap_s, allowed = causal_gaps(AGE_S, MASK)
    steps = 5 * torch.randn(1, 4, 16)
    _, weight = attend(steps, steps, gap_s, allowed)
    assert (weight[allowed == 0] == 0).all()
    torch.testing.assert_close(weight.sum(-1), torch.ones(1, 4))


def test_attention_knows_how_long_ago_a_step_was() -> None:
    torch.manual_seed(0)
    attend = CausalAttention(16).eval()
    steps = torch.randn(1, 4, 16)
    even = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    outputs = [attend(steps, steps, *causal_gaps(age, torch.ones(1, 4)))[0] for age in (AGE_S, even)]
    assert (outputs[0] - outputs[1])[0, -1].abs().max() > 1e-3
    torch.testing.assert_close(outputs[0][0, 0], outputs[1][0, 0])  # it has nothing before it
