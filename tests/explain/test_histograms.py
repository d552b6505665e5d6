"""Histograms of weights and gradients."""

import torch
from torch import nn

from tests.explain.nets_to_explain import Nested, state
from vislab.explain.histograms import gradient_histograms, weight_histograms


def test_every_weight_is_counted_once_between_its_smallest_and_largest():
    net = Nested()
    found = weight_histograms(net, bins=7)
    assert list(found) == ["body.first.0", "body.second", "body.third", "head"]
    for name, histogram in found.items():
        weight = net.get_submodule(name).weight.detach()
        assert histogram.counts.sum() == weight.numel()
        assert histogram.edges[0] == float(weight.min())
        assert len(histogram.counts) == 7


def test_gradients_are_those_of_the_cross_entropy_and_frozen_weights_have_none():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Linear(4, 2, bias=False))
    net[1].weight.requires_grad_(False)
    images, labels = torch.randn(3, 3, 1, 2), torch.tensor([0, 1, 1])
    before = state(net)
    found = gradient_histograms(net, images, labels)
    assert state(net) == before
    assert list(found) == ["2"]
    hidden = net[1](net[0](images)).detach()
    gap = (net(images).softmax(dim=1) - nn.functional.one_hot(labels, 2)).detach()
    slope = gap.T @ hidden / 3
    torch.testing.assert_close(float(found["2"].edges[-1]), float(slope.max()), rtol=1e-5, atol=0)
