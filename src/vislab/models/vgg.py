"""VGG: 3×3 convolutions alone, doubled in width at each halving.

Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, configurations A, B, D and E. Differs, as is
usual for small images: the mean over all places and one linear layer in place of the three dense
ones, batch normalisation (after convolutions that keep their biases), halvings that round up, so
that a side below 32 is left with one place and not with none, and Kaiming's initialisation
(arXiv:1502.01852, equation 10), which needs no shallower network to start from.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import OptionError

CONVOLUTIONS: dict[int, Sequence[int]] = {  # in each of the five stages
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDENING = (1, 2, 4, 8, 8)


class VGG(nn.Module):
    """(N, 3, H, W) to logits (N, K), any size; `width` is that of the first of five stages."""

    def __init__(
        self, *, classes: int, depth: int = 16, width: int = 64, batch_norm: bool = True
    ) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise OptionError(f"VGG(depth={depth}) is none of the paper's; take 11, 13, 16 or 19")
        layers: list[nn.Module] = []
        inner = 3
        for convolutions, wider in zip(CONVOLUTIONS[depth], WIDENING, strict=True):
            for _ in range(convolutions):
                layers += _conv(inner, wider * width, batch_norm)
                inner = wider * width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inner, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/32, W/32), rounded up
        scores: Tensor = self.head(maps.mean(dim=(2, 3)))
        return scores


def _conv(inner: int, outer: int, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(outer)] if batch_norm else []
    return [nn.Conv2d(inner, outer, 3, padding=1), *norm, nn.ReLU()]
