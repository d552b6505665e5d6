"""What features know: a layer that keeps everything gives the image back."""

import copy

import pytest
import torch
from torch import nn

from tests.explain.small_nets import HALF, PLAIN, trained_net
from tests.explain.test_target_layers import InPlace, state
from vislab.errors import DataError, UnknownName
from vislab.explain.deep_dream import resized
from vislab.explain.inversion import invert
from vislab.ops.seeding import generator


def smooth(*size):
    return 0.2 + 0.6 * resized(torch.rand(2, 3, 3, 4, generator=generator("smooth")), size)


def test_the_pixels_themselves_give_the_image_back():
    given = smooth(12, 14)
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1))
    found = invert(model, given, "0", steps=150, variation=0.0, normalisation=PLAIN, quiet=True)
    assert (found.images - given).abs().max() < 0.02
    assert (found.error < 0.01).all()


def test_a_layer_that_keeps_only_the_mean_gives_the_mean_back_and_nothing_else():
    given = smooth(12, 14)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = invert(model, given, "0", steps=100, normalisation=PLAIN, quiet=True)
    means = given.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(
        found.images.mean(dim=(2, 3), keepdim=True), means, atol=0.02, rtol=0
    )
    assert (found.images - means).std() < 0.3 * (given - means).std()


def test_the_error_is_that_of_the_features_and_falls_with_more_steps():
    model, images, _ = trained_net()
    long, short = (
        invert(model, images[:2], "features.7", steps=steps, normalisation=HALF, quiet=True)
        for steps in (80, 8)
    )
    assert (long.error < 0.6 * short.error).all()
    part = model.features[:8]
    with torch.no_grad():
        ours, theirs = part(2 * long.images - 1), part(2 * images[:2] - 1)
    by_hand = (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)
    torch.testing.assert_close(long.error, by_hand, atol=1e-4, rtol=1e-3)


def test_more_variation_costs_detail():
    model, images, _ = trained_net()
    rough, flat = (
        invert(model, images[:1], "features.0", steps=40, variation=weight, normalisation=HALF,
               quiet=True).images.diff(dim=3).square().mean()
        for weight in (0.0, 100.0)
    )  # fmt: skip
    assert flat < 0.3 * rough


def test_the_same_seed_gives_the_same_and_nothing_is_left_behind():
    torch.manual_seed(0)
    model = InPlace().train()
    before = copy.deepcopy(state(model))
    first, second = (
        invert(model, smooth(10, 9), "first", steps=2, quiet=True).images for _ in range(2)
    )
    assert torch.equal(first, second)
    with pytest.raises(UnknownName, match="no layer is named 'thrid'"):
        invert(model, smooth(10, 9), "thrid", steps=2, quiet=True)
    with pytest.raises(DataError, match="from 0 to 1"):
        invert(model, smooth(10, 9) + 1, "first", steps=2, quiet=True)
    assert state(model) == before
