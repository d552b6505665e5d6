"""Wide residual networks: few layers, many channels, dropout inside the blocks.

Zagoruyko and Komodakis 2016, arXiv:1605.07146, table 1 (widths) and figure 1(d) (dropout between
the two convolutions); WRN-28-10 is depth=28, widen=10. The blocks normalise and rectify first, and
where the shape changes the 1×1 convolution of the shortcut sees the rectified map, not x, as in the
authors' code. No convolution has a bias. Initialised as by them (arXiv:1502.01852, equation 14).
"""

from collections import OrderedDict
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.models.preact_resnet import blocks_per_stage


class WideBlock(nn.Module):
    """y = x + f(a) or, where the shape changes, s(a) + f(a), with a = ReLU(normalised x)."""

    def __init__(self, inner: int, outer: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(inner), nn.ReLU())
        self.branch = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
        )
        changes = inner != outer or stride != 1
        self.shortcut = nn.Conv2d(inner, outer, 1, stride=stride, bias=False) if changes else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return the sum of branch and shortcut."""
        active = self.activation(x)
        kept = x if self.shortcut is None else self.shortcut(active)
        total: Tensor = kept + self.branch(active)
        return total


class WideResNet(nn.Module):
    """(N, 3, H, W) to logits (N, K), any size; a `depth` other than 6n + 4 raises OptionError.

    The stages are 16, 32 and 64 times `widen` wide; `dropout` is the share set to zero in training.
    """

    def __init__(
        self, *, classes: int, depth: int = 28, widen: int = 10, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise OptionError(f"WideResNet(dropout={dropout}) is no share; take from 0 to below 1")
        blocks = blocks_per_stage("WideResNet", depth, 6, 4)
        widths = (16, 16 * widen, 32 * widen, 64 * widen)
        parts: dict[str, nn.Module] = {"stem": nn.Conv2d(3, 16, 3, padding=1, bias=False)}
        for stage, (inner, outer) in enumerate(pairwise(widths), start=1):
            first = WideBlock(inner, outer, 1 if stage == 1 else 2, dropout)
            rest = [WideBlock(outer, outer, 1, dropout) for _ in range(blocks - 1)]
            parts[f"stage{stage}"] = nn.Sequential(first, *rest)
        parts["activation"] = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.features = nn.Sequential(OrderedDict(parts))
        self.head = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/4, W/4), rounded up
        scores: Tensor = self.head(maps.mean(dim=(2, 3)))
        return scores
