import json

import pytest
import torch
from torch import nn

from tests.models.fitting import loss_after
from vislab import models
from vislab.errors import OptionError, ShapeError
from vislab.models.bilinear import Bilinear, Stream, bilinear_pool, deepest_maps
from vislab.models.preprocessing import Preprocessing

AS_GIVEN = Preprocessing(16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_pooling_is_the_outer_product_place_by_place():
    one, two = torch.randn(2, 3, 4, 5), torch.randn(2, 2, 4, 5)
    found = bilinear_pool(one, two)
    for n in range(2):
        product = torch.zeros(3, 2)
        for i in range(4):
            for j in range(5):
                product += torch.outer(one[n, :, i, j], two[n, :, i, j])
        rooted = product.flatten().sign() * (product.flatten().abs() / 20 + 1e-10).sqrt()
        torch.testing.assert_close(found[n], rooted / rooted.norm())


def test_what_is_pooled_has_norm_one_and_does_not_know_places_or_brightness():
    maps = torch.rand(3, 4, 5, 6) + 0.1
    pooled = bilinear_pool(maps, maps)
    torch.testing.assert_close(pooled.norm(dim=1), torch.ones(3))
    shuffled = maps.flatten(2)[:, :, torch.randperm(30)].unflatten(2, (5, 6))
    torch.testing.assert_close(bilinear_pool(shuffled, shuffled), pooled)
    torch.testing.assert_close(bilinear_pool(7 * maps, maps), pooled)


def test_of_one_network_the_product_is_symmetric():
    maps = torch.randn(2, 5, 3, 3)
    table = bilinear_pool(maps, maps).unflatten(1, (5, 5))
    torch.testing.assert_close(table, table.mT)


def test_gradients_are_numbers_where_features_never_meet():
    maps = torch.zeros(1, 3, 2, 2, requires_grad=True)
    bilinear_pool(maps, maps).sum().backward()
    assert torch.isfinite(maps.grad).all()


class Seen(nn.Module):
    """Give back what it is shown, as maps of three channels and then of four."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        self.shown = x
        return self.head(self.maps(x).mean(dim=(2, 3)))


def test_each_stream_gets_the_image_in_its_own_size_and_normalisation():
    networks = Seen(), Seen()
    shown = Preprocessing(8, (0.5, 0.5, 0.5), (0.25, 0.5, 1.0)), AS_GIVEN
    first, second = (Stream(n, s) for n, s in zip(networks, shown, strict=True))
    model = Bilinear(first, second, classes=3)
    images = torch.full((2, 3, 16, 16), 0.75)
    assert model(images).shape == (2, 3)
    assert networks[0].shown.shape == (2, 3, 8, 8)
    assert networks[0].shown[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert torch.equal(networks[1].shown, images)
    small = torch.rand(1, 3, 6, 6)
    model(small)
    assert networks[0].shown.shape == (1, 3, 6, 6)  # never enlarged


def test_the_deepest_maps_are_found_and_nothing_is_left_behind():
    network = models.create("convnet", classes=3, widths=[4, 6])
    assert deepest_maps(network, 16) == ("features", 6)
    assert network.training
    assert not any(m._forward_hooks for m in network.modules())
    with pytest.raises(ShapeError, match="no maps"):
        deepest_maps(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), 4)


def test_it_is_built_by_name_and_again_from_what_it_remembers():
    model = models.create("bilinear", classes=3, streams=["all-cnn", "convnet"])
    told = json.loads(json.dumps(model.built_as))
    again = models.create(told["name"], classes=told["classes"], **told["options"])
    again.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.eval()(images), again.eval()(images))
    assert model.preprocessing.mean == (0.0, 0.0, 0.0)
    with pytest.raises(OptionError, match="one network or two, got 3"):
        models.create("bilinear", classes=3, streams=["all-cnn"] * 3)


def test_its_head_can_be_told_from_its_streams():
    model = models.create("bilinear", classes=3, streams=["all-cnn", "convnet"])
    parts = models.parameter_groups(model, torch.zeros(1, 3, 32, 32))
    assert parts.head.modules == ("head",)
    assert parts.separable
    assert {block.name.split(".")[0] for block in parts.blocks} == {"first", "second"}


def test_it_learns_eight_images_by_heart():
    torch.manual_seed(0)
    model = models.create("bilinear", classes=4, streams=["convnet"])
    _, after = loss_after(model, steps=60, side=16, lr=1e-2)
    assert after < 0.02
