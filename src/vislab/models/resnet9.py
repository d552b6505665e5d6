"""A ResNet of nine layers that trains fast: wide, shallow, few skips.

Page 2018, "How to train your ResNet" (DAWNBench), parts 4 to 8: a stem, three stages of
convolution, normalisation, ReLU and halving, two of them with a residual pair of convolutions, the
largest value of each map and one linear layer whose scores are scaled by 1/8. Differs: an ordinary
batch normalisation, and its place before ReLU throughout.
"""

from jaxtyping import Float
from torch import Tensor, nn


class Pair(nn.Module):
    """x + f(x), f two convolutions, each normalised and rectified."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_conv(width, width), *_conv(width, width))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return x + f(x)."""
        total: Tensor = x + self.branch(x)
        return total


class ResNet9(nn.Module):
    """(N, 3, S, S) to logits (N, K); S at least 8. `width` is the stem's; the paper's is 64."""

    def __init__(self, *, classes: int, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, width),
            *_conv(width, 2 * width),
            nn.MaxPool2d(2),
            Pair(2 * width),
            *_conv(2 * width, 4 * width),
            nn.MaxPool2d(2),
            *_conv(4 * width, 8 * width),
            nn.MaxPool2d(2),
            Pair(8 * width),
        )
        self.head = nn.Linear(8 * width, classes, bias=False)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, 8W, H/8, W/8)
        scores: Tensor = self.head(maps.amax(dim=(2, 3))) / 8
        return scores


def _conv(inner: int, outer: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inner, outer, 3, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    ]
