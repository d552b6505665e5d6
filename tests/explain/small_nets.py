"""Small networks to paint for: one that an image's mean colours decide, one trained on shapes."""

import functools

import torch
from torch import nn

from vislab.data.shapes import draw_scenes, labels, render
from vislab.explain.image_optimisation import Normalisation
from vislab.models import ConvNet
from vislab.ops.seeding import seed_of

PLAIN: Normalisation = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def colour_net(classes=3):
    """Class k's score is 20 times the mean of colour k, minus 10."""
    model = nn.Sequential(nn.Conv2d(3, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        model[0].weight.copy_(20 * torch.eye(classes, 3)[..., None, None])
        model[0].bias.fill_(-10.0)
    return model


@functools.cache
def trained_net():
    """Return a ConvNet that tells shapes apart, and 8 images in [0, 1] with their classes."""
    before = torch.get_rng_state()
    torch.manual_seed(seed_of("trained"))
    scenes = draw_scenes(range(320), seed=0, difficulty="easy")
    images = torch.from_numpy(render(scenes, size=32)).permute(0, 3, 1, 2).float() / 255
    truth = torch.from_numpy(labels(scenes)).long()
    model = ConvNet(classes=10, widths=(16, 32, 48))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(12):
        for rows in torch.randperm(320).split(32):
            loss = nn.functional.cross_entropy(model(2 * images[rows] - 1), truth[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    torch.set_rng_state(before)
    return model.eval(), images[:8], truth[:8]
