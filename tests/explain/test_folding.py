"""A copy for many passes answers as the network does."""

import pytest
import torch
from torch import nn

from tests.explain.nets_to_explain import Nested, state, torchvision_nets
from vislab.explain.batching import batch_within
from vislab.explain.folding import folded
from vislab.explain.randomised import randomised


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn"])
def test_normalisation_is_folded_away_and_the_answer_kept(name, rng):
    net = torchvision_nets()[name]
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.2 * torch.randn(module.num_features, generator=rng))
    images = torch.randn(2, 3, 64, 64, generator=rng)
    before = state(net)
    quick = folded(net, images)
    assert state(net) == before
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    with torch.no_grad():
        torch.testing.assert_close(quick(images), net(images), rtol=1e-4, atol=1e-4)


class Chooses(nn.Module):
    """It cannot be traced: which way it goes depends on the image."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        x = x.mean(dim=(2, 3))
        return self.one(x) if float(x.sum()) > 0 else self.other(x)


def test_what_cannot_be_traced_is_copied_as_it_is():
    torch.manual_seed(0)
    net, images = Chooses(), torch.randn(1, 3, 6, 5)
    for image in (images, -images):
        torch.testing.assert_close(folded(net, images)(image), net(image))


def test_a_larger_budget_takes_more_images_and_the_smallest_takes_one():
    net, image = Nested(), torch.randn(3, 40, 40)
    for gradients in (False, True):
        assert batch_within(net, image, 1, gradients=gradients) == 1
        found = [batch_within(net, image, kilo << 10, gradients=gradients) for kilo in (300, 1200)]
        assert 1 < found[0] < found[1]
    assert batch_within(net, image, 1200 << 10, gradients=True) < batch_within(
        net, image, 1 << 40, gradients=True
    )


def test_random_weights_are_the_same_values_in_other_places():
    net = Nested()
    other = randomised(net)
    for one, shuffled in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.flatten().sort().values, shuffled.flatten().sort().values)
        if one.numel() > 8:
            assert not torch.equal(one, shuffled)
    again, third = randomised(net), randomised(net, seed=1)
    assert torch.equal(other.head.weight, again.head.weight)
    assert not torch.equal(other.head.weight, third.head.weight)
