"""A network for under a hundred thousand parameters: depthwise convolutions behind two full ones.

Howard et al. 2017, arXiv:1704.04861, section 3.1: a 3×3 convolution within each channel, then a 1×1
convolution across them, in place of one that does both, for about an eighth of the weights; with a
skip where the shape allows (He et al. 2016, arXiv:1512.03385). The first convolutions, which cost
few weights and find edges, stay full.
"""

from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = (24, 40, 72, 112)  # of the stem and of three stages, each at half the side of the last
DEEP = 3  # blocks that keep the shape in the last stage


class Separable(nn.Module):
    """A depthwise and a 1×1 convolution, each normalised; with a skip where the shape is kept."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.keeps_shape = inner == outer and stride == 1

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return ReLU(f(x)), or ReLU(x + f(x)) where the shape is kept."""
        found: Tensor = self.layers(x)
        return (x + found if self.keeps_shape else found).relu()


class Compact(nn.Module):
    """(N, 3, S, S) to logits (N, K); S at least 16. With 2 classes it has 84 786 parameters."""

    def __init__(self, *, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        stem, first, second, third = WIDTHS
        self.features = nn.Sequential(
            *_conv(3, stem, stride=2),
            *_conv(stem, first, stride=2),
            *_conv(first, first, stride=1),
            Separable(first, second, 2),
            Separable(second, second, 1),
            Separable(second, third, 2),
            *(Separable(third, third, 1) for _ in range(DEEP)),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(third, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/16, W/16), rounded up
        scores: Tensor = self.head(self.dropout(maps.mean(dim=(2, 3))))
        return scores


def _conv(inner: int, outer: int, *, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    ]
