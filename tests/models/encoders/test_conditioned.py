from __future__ import annotations

import pytest
import torch
from torch import nn

from models.encoders.conditioned import ConditionedNet


@pytest.fixture
def net() -> ConditionedNet:
    torch.manual_seed(0)
    return ConditionedNet((6, 16, 8, 3), context=5)


def _wake(net: ConditionedNet) -> None:
    for film in net.films:
        nn.init.normal_(film.weight, std=0.3)


def test_context_changes_nothing_at_the_start(net: ConditionedNet) -> None:
    features = torch.randn(4, 6)
    plain = nn.Sequential(net.layers[0], nn.ReLU(), net.layers[1], nn.ReLU(), net.layers[2])
    for _ in range(2):
        torch.testing.assert_close(net(features, 10 * torch.randn(4, 5)), plain(features))


def test_context_scales_and_shifts_every_hidden_layer(net: ConditionedNet) -> None:
    _wake(net)
    features, context = torch.randn(4, 6), torch.randn(4, 5)
    hidden = features
    for layer, film in zip(net.layers[:-1], net.films, strict=True):
        change = context @ film.weight.T
        width = change.shape[1] // 2
        hidden = torch.clamp(layer(hidden) * (1 + change[:, :width]) + change[:, width:], min=0)
    torch.testing.assert_close(net(features, context), net.layers[-1](hidden))
    assert (net(features, context) - net(features, -context)).abs().amax(1).min() > 1e-3


def test_context_of_one_sample_does_not_reach_another(net: ConditionedNet) -> None:
    _wake(net)
    features, context = torch.randn(2, 6), torch.randn(2, 5)
    other = torch.stack([context[0], -context[1]])
    torch.testing.assert_close(net(features, other)[0], net(features, context)[0])


def test_gradients_reach_layers_and_films_from_the_first_step_on(net: ConditionedNet) -> None:
    features, context = torch.randn(4, 6), torch.randn(4, 5, requires_grad=True)
    net(features, context).square().sum().backward()
    for module in (*net.layers, *net.films):
        assert module.weight.grad.abs().max() > 0
        assert module.bias.grad.abs().max() > 0
    _wake(net)
    net(features, context).square().sum().backward()
    assert context.grad.abs().max() > 0  # so that the embeddings of sites and carriers learn, too


def test_net_without_hidden_layers_has_nothing_to_modulate() -> None:
    net = ConditionedNet((6, 3), context=5)
    assert len(net.films) == 0
    features = torch.randn(4, 6)
    torch.testing.assert_close(net(features, torch.randn(4, 5)), net.layers[0](features))
