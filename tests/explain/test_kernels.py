import pytest
import torch
from torch import nn

from vislab.errors import ShapeError
from vislab.explain.kernels import kernel_magnitudes, kernels
from vislab.models import ConvNet, resnet18


def test_a_kernel_is_shown_around_mid_grey_up_to_its_own_largest_weight():
    layer = nn.Conv2d(3, 2, (1, 2), bias=False)
    with torch.no_grad():
        layer.weight[0] = torch.tensor([[[2.0, 0.0]], [[-2.0, 1.0]], [[0.5, -1.0]]])
        layer.weight[1] = torch.tensor([[[0.0, 0.0]], [[0.0, -0.01]], [[0.0, 0.0]]])
    shown = kernels(layer)
    assert shown.shape == (2, 1, 2, 3)  # kernel, row, column, RGB
    # 127.5 (1 + w / 2): 2 → 255, 0 → 127.5, −2 → 0, 1 → 191.25, 0.5 → 159.4, −1 → 63.75
    assert shown[0].tolist() == [[[255, 0, 159], [128, 191, 64]]]
    assert shown[1].tolist() == [[[128, 128, 128], [128, 0, 128]]]


def test_a_kernel_of_zeros_is_grey():
    layer = nn.Conv2d(3, 1, 2)
    nn.init.zeros_(layer.weight)
    assert (kernels(layer) == 128).all()


def test_the_first_convolution_over_colours_is_the_one_shown():
    """Not a grey one before it, nor one that sees its three channels apart."""
    model = nn.Sequential(
        nn.Conv2d(1, 3, 5), nn.Conv2d(3, 3, 5, groups=3), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 9, 3)
    )
    assert torch.equal(kernels(model), kernels(model[2]))
    assert kernels(resnet18(classes=2)).shape == (64, 7, 7, 3)


def test_a_model_without_one_says_so():
    with pytest.raises(ShapeError, match="no convolution over 3 channels"):
        kernels(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(3, 3)))


def test_magnitudes_are_the_root_of_the_sum_of_squares_layer_by_layer():
    torch.manual_seed(0)
    model = ConvNet(classes=3, widths=(4, 6))
    told = kernel_magnitudes(model)
    names = ["features.0", "features.3", "features.7", "features.10", "head"]
    assert list(told) == names
    for name in names:
        by_hand = sum(w * w for w in model.get_submodule(name).weight.flatten().tolist()) ** 0.5
        assert told[name] == pytest.approx(by_hand, rel=1e-5)


def test_looking_does_not_touch_the_weights():
    model = ConvNet(classes=3, widths=(4, 6))
    before = [p.clone() for p in model.parameters()]
    kernels(model).zero_()
    kernel_magnitudes(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
