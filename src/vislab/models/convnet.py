"""A small ConvNet for small images, the one that the courses vary.

Three stages of two 3×3 convolutions and a halving, then the mean over all places and one linear
layer. What the courses compare is an option: batch normalisation (Ioffe and Szegedy 2015,
arXiv:1502.03167) and Gaussian noise on every activation while training.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """Add normal noise of a given standard deviation while training."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return x plus noise in training mode, x itself otherwise."""
        return x + self.std * torch.randn_like(x) if self.training else x

    def extra_repr(self) -> str:
        """Show the std where the module is printed."""
        return f"std={self.std}"


class ConvNet(nn.Module):
    """(N, 3, S, S) to logits (N, K); S at least 8."""

    def __init__(
        self,
        *,
        classes: int,
        widths: Sequence[int] = (16, 32, 64),
        batch_norm: bool = True,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner, outer in pairwise((3, *widths)):
            layers += _conv(inner, outer, batch_norm, noise)
            layers += [*_conv(outer, outer, batch_norm, noise), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/8, W/8)
        scores: Tensor = self.head(maps.mean(dim=(2, 3)))
        return scores


def _conv(inner: int, outer: int, batch_norm: bool, noise: float) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(inner, outer, 3, padding=1, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outer))
    if noise > 0:
        layers.append(GaussianNoise(noise))
    return [*layers, nn.ReLU()]
