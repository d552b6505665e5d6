"""Grad-CAM++ on a case worked out by hand."""

import torch
from torch import nn

from vislab.explain.grad_cam_plus_plus import grad_cam_plus_plus
from vislab.explain.target_layers import TargetLayer

LAST = TargetLayer("0", 2, 2, "nchw")


def one_map(weights):
    """The first channel is the map; the score weighs its four places."""
    model = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.Flatten(), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))
        model[2].weight.copy_(torch.tensor([weights]))
    return model


def test_a_case_by_hand():
    """One map A with gradients g; α = g² / (2g² + ΣA·g³), w = Σ α·max(g, 0), map = max(wA, 0)."""
    images = torch.zeros(1, 3, 2, 2)
    images[0, 0] = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    # ΣA = 6. g = ½: ¼ / (½ + 6/8) = 0.2, ·½ = 0.1. g = −1 counts 0. g = 2: 4 / (8 + 48) · 2 = 1/7.
    weight = 0.1 + 1 / 7
    found = grad_cam_plus_plus(one_map([0.5, -1.0, 0.0, 2.0]), images, target_layer=LAST)
    torch.testing.assert_close(found, weight * images[:, 0])


def test_a_gradient_of_zero_gives_an_empty_map_and_no_nan():
    found = grad_cam_plus_plus(one_map([0.0] * 4), torch.rand(1, 3, 2, 2), target_layer=LAST)
    assert not found.any()
