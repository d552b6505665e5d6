"""DenseNet-BC for small images: every layer of a block sees the maps of all before it.

Huang et al. 2017, arXiv:1608.06993, section 3: three blocks, a layer of which makes `growth` new
maps by way of a 1×1 convolution to four times as many (B), and between the blocks a 1×1 convolution
that keeps the share `compression` of the channels, rounded down (C), then means of 2×2 places.
No convolution has a bias. Initialised as by the authors (arXiv:1502.01852, equation 14).
"""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.models.preact_resnet import blocks_per_stage


class DenseLayer(nn.Module):
    """Give x back with `growth` new maps behind it."""

    def __init__(self, inner: int, growth: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_conv(inner, 4 * growth, kernel=1), *_conv(4 * growth, growth, kernel=3)
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Return [x, f(x)]."""
        return torch.cat([x, self.branch(x)], dim=1)


class DenseNet(nn.Module):
    """(N, 3, S, S) to logits (N, K); S at least 4. A `depth` other than 6n + 4 raises OptionError.

    A layer counts as two, so each of the three blocks has n of them.
    """

    def __init__(
        self, *, classes: int, depth: int = 100, growth: int = 12, compression: float = 0.5
    ) -> None:
        super().__init__()
        if not 0 < compression <= 1:
            raise OptionError(
                f"DenseNet(compression={compression}) is no share to keep; take from above 0 to 1"
            )
        layers = blocks_per_stage("DenseNet", depth, 6, 4)
        width = 2 * growth
        parts: dict[str, nn.Module] = {"stem": nn.Conv2d(3, width, 3, padding=1, bias=False)}
        for block in (1, 2, 3):
            inputs = range(width, width + layers * growth, growth)
            parts[f"block{block}"] = nn.Sequential(*(DenseLayer(c, growth) for c in inputs))
            width += layers * growth
            if block < 3:
                kept = int(compression * width)
                parts[f"transition{block}"] = nn.Sequential(
                    *_conv(width, kept, kernel=1), nn.AvgPool2d(2)
                )
                width = kept
        parts["activation"] = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.features = nn.Sequential(OrderedDict(parts))
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/4, W/4)
        scores: Tensor = self.head(maps.mean(dim=(2, 3)))
        return scores


def _conv(inner: int, outer: int, *, kernel: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, outer, kernel, padding=kernel // 2, bias=False),
    ]
