"""ResNet-18, torchvision's, with a stem that suits the size of the images.

He et al. 2016, arXiv:1512.03385, table 1. The stem of the paper divides the side by four before
the first block, which leaves little of a 32-pixel image; the small stem (section 4.2) is one
3×3 convolution at full size.
"""

from typing import Literal

import torchvision
from torch import nn


def resnet18(
    *, classes: int, stem: Literal["imagenet", "small"] = "imagenet"
) -> torchvision.models.ResNet:
    """Return ResNet-18 with fresh weights: (N, 3, S, S) to logits (N, K), any S from 32 on."""
    model = torchvision.models.resnet18(weights=None, num_classes=classes)
    if stem == "small":
        model.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    return model
