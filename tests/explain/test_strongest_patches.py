"""Where a unit answers most, and what it saw there."""

import pytest
import torch
from torch import nn

from tests.explain.nets_to_explain import Nested, state
from vislab.errors import OptionError, ShapeError
from vislab.explain.strongest_patches import strongest_patches


@pytest.fixture
def net():
    """A unit that answers to a bright pixel, through a kernel of 3×3 and a pool of 2×2."""
    net = nn.Sequential(nn.Conv2d(3, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(2 * 4 * 3, 2))  # fmt: skip
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].weight[1, 0] = torch.tensor([[0.1, 0.1, 0.1], [0.1, 1.0, 0.1], [0.1, 0.1, 0.1]])
    return net


@pytest.fixture
def images():
    images = torch.zeros(4, 3, 10, 8)
    images[0, 0, 3, 4] = 1.0
    images[2, 0, 7, 2] = 5.0
    images[3, 0, 1, 6] = 3.0
    return images


def test_the_strongest_come_first_each_with_its_place_and_what_it_saw(net, images):
    found = strongest_patches(net, images, "2", 1, count=3)
    assert [patch.image for patch in found] == [2, 3, 0]
    assert [patch.activation for patch in found] == pytest.approx([5.0, 3.0, 1.0])
    assert found[0].place == (3, 0)  # kernel's centre at (6, 1), pooled by 2
    assert found[0].box == (1, 6, 4, 9)
    assert found[1].box == (5, 0, 8, 3)


def test_memory_does_not_change_what_is_found(net, images):
    assert strongest_patches(net, images, "2", 1, budget=1) == strongest_patches(
        net, images, "2", 1
    )


def test_a_silent_unit_saw_the_whole_image(net, images):
    assert strongest_patches(net, images, "2", 0, count=1)[0].box == (0, 0, 8, 10)


def test_wrong_layers_and_channels_are_told(net, images):
    with pytest.raises(OptionError, match=r"channels 0 to 1, not 2"):
        strongest_patches(net, images, "2", 2)
    with pytest.raises(ShapeError, match="no maps"):
        strongest_patches(net, images, "4", 0)


def test_the_network_is_left_as_it_was_and_no_images_give_none():
    net = Nested()
    before = state(net)
    strongest_patches(net, torch.randn(3, 3, 9, 8), "body.second", 1)
    assert state(net) == before
    assert strongest_patches(net, torch.zeros(0, 3, 9, 8), "body.second", 1) == []
