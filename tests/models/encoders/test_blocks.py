from __future__ import annotations

import torch
from torch import nn

from models.encoders.blocks import ConvStack, conv


def test_convolutions_answer_in_single_precision_in_training_too() -> None:
    torch.manual_seed(0)
    stack = ConvStack(nn.Conv2d(3, 8, 3), nn.ReLU())
    planes = torch.randn(2, 3, 16, 16)
    rough, exact = stack.train()(planes), stack.eval()(planes)
    assert rough.dtype == exact.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)  # bfloat16 keeps 8 bits
    assert not torch.equal(rough, exact)


def test_planes_of_different_sites_do_not_share_statistics_in_training() -> None:
    torch.manual_seed(0)
    block = conv(3, 16, across_sites=True).train()
    street, room = torch.randn(2, 3, 16, 16), 100 + 50 * torch.randn(2, 3, 16, 16)
    together = block(torch.cat([street, room]))
    torch.testing.assert_close(together[:2], block(street), atol=1e-5, rtol=1e-4)
