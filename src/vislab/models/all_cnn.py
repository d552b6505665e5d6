"""The All Convolutional Net: strided convolutions in place of pooling, no dense layer.

Springenberg et al. 2015, arXiv:1412.6806, table 1, model C in its all-convolutional form. Differs:
batch normalisation in place of dropout, and a width that suits a laptop (the paper's is 96).
"""

from jaxtyping import Float
from torch import Tensor, nn


class AllCNN(nn.Module):
    """(N, 3, S, S) to logits (N, K); S at least 8."""

    def __init__(self, *, classes: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, width),
            *_conv(width, width),
            *_conv(width, width, stride=2),
            *_conv(width, 2 * width),
            *_conv(2 * width, 2 * width),
            *_conv(2 * width, 2 * width, stride=2),
            *_conv(2 * width, 2 * width),
            *_conv(2 * width, 2 * width, kernel=1),
        )
        self.head = nn.Conv2d(2 * width, classes, kernel_size=1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits): the mean over all places of the last map."""
        scores: Tensor = self.head(self.features(images)).mean(dim=(2, 3))
        return scores


def _conv(inner: int, outer: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inner, outer, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    ]
