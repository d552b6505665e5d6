"""What networks cost, counted by hand."""

import torch
from torch import nn

from vislab import models
from vislab.profiling.costs import multiply_adds
from vislab.profiling.layers import layers


class Pairs(nn.Module):
    """A convolution and torch's bilinear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.pairs = nn.Conv2d(3, 8, 3, stride=2), nn.Bilinear(8, 6, 5)

    def forward(self, x):
        features = self.conv(x).mean(dim=(2, 3))
        return self.pairs(features, features[:, :6])


def test_a_bilinear_layer_multiplies_every_pair_for_every_output():
    convolution = 7 * 7 * 8 * 27  # 16 pixels in steps of 2 without padding: 7 places
    assert multiply_adds(Pairs(), 16) == convolution + 8 * 6 * 5
    rows = {row.name: row.macs for row in layers(Pairs(), 16)}
    assert rows["pairs"] == 8 * 6 * 5


def test_bilinear_pooling_multiplies_every_pair_at_every_place():
    made = models.create("bilinear", classes=10, streams=("efficientnet-lite0",))
    with torch.no_grad():
        maps = made.first(torch.zeros(1, 3, 64, 64))
    channels, places = maps.shape[1], maps[0, 0].numel()
    pooled = next(row for row in layers(made, 64) if row.name == "")
    assert pooled.macs == channels * channels * places
