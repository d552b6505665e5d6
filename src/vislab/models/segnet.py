"""SegNet: an encoder like VGG's, and a decoder that grows its maps back in one of five ways.

Badrinarayanan, Kendall and Cipolla 2017, arXiv:1511.00561, sections 3 and 4.2. The paper's own way
puts each value back where the maximum was found; the others are what it is compared with. All have
the same convolutions after growing, so that the way of growing is the one difference; `transposed`
adds a convolution of its own. VGG-16's thirteen convolutions are `convolutions=(2, 2, 3, 3, 3)`
with `width=64`. Sides that are not even are pooled rounding up and grown back to what they were.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError, pick

WIDENING = (1, 2, 4, 8, 8)
Size = tuple[int, int]


def unpool(
    maps: Float[Tensor, "n c i j"], places: Int[Tensor, "n c i j"], size: Size
) -> Float[Tensor, "n c h w"]:
    """Put each value where its maximum was found, zero elsewhere."""
    return F.max_unpool2d(maps, places, (2, 2), stride=(2, 2), output_size=size)


def unpool_fixed(maps: Float[Tensor, "n c i j"], size: Size) -> Float[Tensor, "n c h w"]:
    """Put each value in the upper left of its 2×2 pixels, zero elsewhere (Dosovitskiy 2015)."""
    n, c, i, j = maps.shape
    grown = maps.new_zeros(n, c, i, 2, j, 2)
    grown[:, :, :, 0, :, 0] = maps
    return grown.view(n, c, 2 * i, 2 * j)[:, :, : size[0], : size[1]]


class Grow(nn.Module):
    """One step of the decoder: maps (N, C, I, J) to the size before pooling."""

    def __init__(self, way: str, channels: int) -> None:
        super().__init__()
        self.way = pick({name: name for name in WAYS}, way, "way of upsampling")
        self.transposed = (
            nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)
            if way == "transposed"
            else None
        )

    def forward(
        self, maps: Float[Tensor, "n c i j"], places: Int[Tensor, "n c i j"], size: Size
    ) -> Float[Tensor, "n c h w"]:
        """Return the maps at `size`; `places` are used by index unpooling alone."""
        if self.transposed is not None:
            grown: Tensor = self.transposed(maps)
            return grown[:, :, : size[0], : size[1]]
        return WAYS[self.way](maps, places, size)


WAYS: dict[str, Callable[[Tensor, Tensor, Size], Tensor]] = {
    "index-unpooling": unpool,
    "nearest": lambda maps, _, size: F.interpolate(maps, size=size, mode="nearest"),
    "bilinear": lambda maps, _, size: F.interpolate(maps, size=size, mode="bilinear"),
    "fixed-unpooling": lambda maps, _, size: unpool_fixed(maps, size),
    "transposed": lambda maps, _, _size: maps,  # its weights are in `Grow`
}


class SegNet(nn.Module):
    """(N, 3, H, W) to class scores (N, K, H, W), any size of at least 2 to the stages."""

    def __init__(
        self,
        *,
        classes: int,
        way: str = "index-unpooling",
        width: int = 32,
        convolutions: Sequence[int] = (2, 2, 2),
    ) -> None:
        super().__init__()
        if not 1 <= len(convolutions) <= len(WIDENING):
            raise OptionError(
                f"SegNet with {len(convolutions)} stages of convolutions is not known; take 1 to "
                f"{len(WIDENING)}"
            )
        widths = [width * wider for wider in WIDENING[: len(convolutions)]]
        befores = [3, *widths]
        self.down = nn.ModuleList(
            convolved(inner, outer, count)
            for inner, outer, count in zip(befores, widths, convolutions, strict=False)
        )
        self.grow = nn.ModuleList(Grow(way, outer) for outer in widths)
        self.up = nn.ModuleList(
            convolved(outer, inner, count)
            for inner, outer, count in zip([width, *widths], widths, convolutions, strict=False)
        )
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return class scores (logits) of each pixel."""
        scores: Tensor = self.head(self.grown(images))
        return scores

    def grown(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Return the decoder's last maps, which the head reads."""
        maps, pooled = images, []
        for convolve in self.down:
            maps = convolve(maps)
            size = (maps.shape[2], maps.shape[3])
            maps, places = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
            pooled.append((places, size))
        for level in reversed(range(len(pooled))):
            places, size = pooled[level]
            maps = self.up[level](self.grow[level](maps, places, size))
        return maps


def convolved(inner: int, outer: int, count: int) -> nn.Sequential:
    """Return 3×3 convolutions, each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for place in range(count):
        before = inner if place == 0 else outer
        layers += [
            nn.Conv2d(before, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def first_growth(network: SegNet) -> Callable[[Tensor], Tensor]:
    """Return how a network grows maps to full size, as a function of maps alone.

    Maxima are taken to lie in the upper left, so that the ways can be looked at side by side.
    """
    grow: Grow = network.grow[0]  # type: ignore[assignment]

    def alone(maps: Tensor) -> Tensor:
        i, j = maps.shape[2:]
        rows, columns = torch.arange(i)[:, None] * 2, torch.arange(j) * 2
        places = (rows * 2 * j + columns).expand(maps.shape).contiguous().to(maps.device)
        out: Tensor = grow(maps, places, (2 * i, 2 * j))
        return out

    return alone
