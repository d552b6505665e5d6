"""Guided back-propagation and DeconvNet, wherever and however a ReLU is called."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.explain.nets_to_explain import Nested, state
from vislab.errors import ShapeError
from vislab.explain.deconvnet import deconvnet, project
from vislab.explain.guided_backprop import guided_backprop
from vislab.explain.relu_rules import ReluRule


def back(rule, x, signal, function=F.relu):
    x = torch.tensor(x, requires_grad=True)
    with ReluRule(rule):
        out = function(x * 1.0)
    (found,) = torch.autograd.grad(out, x, torch.tensor(signal))
    return out.tolist(), found.tolist()


def test_the_three_rules_on_a_case_by_hand():
    """Figure 1 of Springenberg et al.: x > 0 lets through, R > 0 lets through, or both."""
    x, signal = [1.0, -1.0, 2.0, -5.0], [-2.0, 3.0, 4.0, -1.0]
    assert back("deconvnet", x, signal) == ([1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 4.0, 0.0])
    assert back("guided", x, signal) == ([1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 4.0, 0.0])


def in_place(x):
    x.relu_()
    return x


@pytest.mark.parametrize(
    "function",
    [
        F.relu, torch.relu, torch.Tensor.relu, F.relu_, in_place, nn.ReLU(), nn.ReLU(inplace=True),
        lambda x: F.relu(x, True), lambda x: F.relu(x, inplace=True),
        lambda x: F.hardtanh(x, 0.0, 9.0),
        nn.ReLU6(),
    ],
)  # fmt: skip
def test_every_way_to_call_a_relu_is_met(function):
    out, found = back("deconvnet", [1.0, -1.0], [2.0, 3.0], function)
    assert out == [1.0, 0.0]
    assert found == [2.0, 3.0]


def test_a_relu6_is_shut_above_too():
    assert back("guided", [7.0, 3.0], [1.0, 1.0], F.relu6) == ([6.0, 3.0], [0.0, 1.0])


def test_a_clamp_to_both_sides_is_no_relu():
    assert back("deconvnet", [0.5, -3.0], [-1.0, 1.0], F.hardtanh) == ([0.5, -1.0], [-1.0, 0.0])


class Sequence(nn.Module):
    """Nested's computation with a module of its own for each ReLU, as captum needs it."""

    def __init__(self, nested):
        super().__init__()
        self.layers = nn.Sequential(
            nested.body["first"][0], nn.ReLU(), nested.body["second"], nn.ReLU(),
            nested.body["third"], nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(),
            nested.head,
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def test_a_relu_used_again_or_in_place_or_as_a_function_gives_what_captum_gives_for_separate_ones():
    from captum.attr import Deconvolution, GuidedBackprop

    torch.manual_seed(0)
    nested = Nested().eval()
    images = torch.randn(2, 3, 12, 10)
    before = state(nested)
    ours = guided_backprop(nested, images, 2), deconvnet(nested, images, 2)
    assert state(nested) == before
    apart = Sequence(nested).eval()
    with pytest.warns(UserWarning, match="backward hooks"):
        theirs = [m(apart).attribute(images, 2).detach() for m in (GuidedBackprop, Deconvolution)]
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine != 0).any()
        torch.testing.assert_close(mine, other)


def classifier(*layers):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([nn.GELU()], "mostly GELU"),
        ([nn.SiLU(), nn.Conv2d(4, 4, 3), nn.ReLU()], "1 of the 2 activations .* mostly SiLU"),
        ([], "calls none"),
    ],
)
def test_a_network_without_relus_says_why_there_is_no_map(layers, why):
    images = torch.randn(1, 3, 9, 8)
    for method in (guided_backprop, deconvnet):
        with pytest.raises(ShapeError, match=why):
            method(classifier(*layers), images)


def test_one_unit_is_projected_alone():
    """A unit of a first convolution sends back its kernel times its activation."""
    torch.manual_seed(0)
    net = classifier(nn.ReLU())
    images = torch.randn(2, 3, 9, 8)
    maps = net[0](images).detach()
    places = [divmod(int(maps[k, 2].argmax()), maps.shape[3]) for k in range(2)]
    found = project(net, images, "1", 2, places)
    for k, (row, column) in enumerate(places):
        expected = torch.zeros(3, 9, 8)
        kernel = net[0].weight[2].detach()
        expected[:, row : row + 3, column : column + 3] = maps[k, 2, row, column] * kernel
        torch.testing.assert_close(found[k], expected)
