import pytest
import torch
from torch import nn

from tests.models.fitting import count, loss_after
from vislab.models import resnet18


def by_hand(classes, stem):
    """He et al. 2016, table 1: four stages of two blocks of two 3×3 convolutions."""
    weights = stem * 3 * 64
    channels = 64
    inner = 64
    for outer in (64, 128, 256, 512):
        weights += 9 * (inner * outer + 3 * outer * outer)
        channels += 4 * outer
        if inner != outer:  # the shortcut, 1×1
            weights += inner * outer
            channels += outer
        inner = outer
    return weights + 2 * channels + 512 * classes + classes


def test_its_parameters_are_counted_by_hand():
    assert by_hand(10, stem=49) == 11_181_642
    assert count(resnet18(classes=10)) == 11_181_642
    assert by_hand(1000, stem=49) == 11_689_512  # as published
    assert count(resnet18(classes=10, stem="small")) == by_hand(10, stem=9) == 11_173_962


@pytest.mark.parametrize(("height", "width"), [(32, 32), (45, 37)])
def test_images_of_any_shape_give_a_score_a_class(height, width):
    model = resnet18(classes=5).eval()
    assert model(torch.randn(2, 3, height, width)).shape == (2, 5)


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 9), ("small", 33)])
def test_the_small_stem_keeps_the_side_that_the_papers_quarters(stem, side):
    model = resnet18(classes=2, stem=stem)
    seen = []
    model.layer1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    model.eval()(torch.randn(1, 3, 33, 33))
    assert seen == [(1, 64, side, side)]


def test_the_small_stem_starts_like_the_rest():
    """Fan-out: variance 2 / (9 · 64)."""
    torch.manual_seed(0)
    weight = resnet18(classes=2, stem="small").conv1.weight
    assert weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.15)
    assert isinstance(resnet18(classes=2).conv1, nn.Conv2d)


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 33), ("small", 10)])
def test_it_learns_eight_images_by_heart(stem, side):
    torch.manual_seed(0)
    before, after = loss_after(resnet18(classes=4, stem=stem), steps=12, side=side, lr=1e-3)
    assert before > 0.7
    assert after < 0.05
