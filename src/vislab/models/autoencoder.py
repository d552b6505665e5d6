"""Autoencoders: an image through a narrow place and back.

Hinton and Salakhutdinov 2006 (doi:10.1126/science.1127647) for dense layers; Masci et al. 2011 for
convolutions; Vincent et al. 2008 for images with noise, which is the task's matter, not the
network's. The convolutional one has the contracting path of `unet.UNet`, so that a U-Net can begin
from it, and with `skips` it is one, whose answer is an image.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError
from vislab.models.unet import two_convolutions


class DenseAutoencoder(nn.Module):
    """Images (N, 3, S, S) of one size through `code` numbers, linear layers all the way."""

    def __init__(
        self, *, classes: int = 3, side: int = 32, code: int = 64, hidden: int = 512
    ) -> None:
        super().__init__()
        self.side, self.channels = side, classes
        pixels = classes * side**2
        self.encode = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, code)
        )
        self.decode = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return the images again. Raises OptionError for another size."""
        height, width = images.shape[2:]
        if not height == width == self.side:
            raise OptionError(
                f"this autoencoder was built for images of {self.side}×{self.side} pixels, got "
                f"{height}×{width}; build it with side=, or resize them"
            )
        flat: Tensor = self.decode(self.encode(images))
        return flat.view(len(images), self.channels, self.side, self.side)


class ConvAutoencoder(nn.Module):
    """(N, 3, H, W) through maps of 1 / 2^(depth − 1) of the side, `code` channels deep, and back.

    `width` channels at full size, doubled at each halving. With `skips`, maps of every size go
    past the narrow place as well.
    """

    def __init__(
        self,
        *,
        classes: int = 3,
        width: int = 16,
        depth: int = 5,
        code: int = 16,
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.skips = skips
        widths = [width << level for level in range(depth)]
        self.down = nn.ModuleList(
            two_convolutions(inner, outer)
            for inner, outer in zip([3, *widths], widths, strict=False)
        )
        self.narrow = nn.Conv2d(widths[-1], code, 1)
        self.widen = nn.Conv2d(code, widths[-1], 1)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * outer, outer, 2, stride=2) for outer in widths[:-1]
        )
        self.up = nn.ModuleList(
            two_convolutions((2 if skips else 1) * outer, outer) for outer in widths[:-1]
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return the images again."""
        maps, passed = images, []
        for level, convolve in enumerate(self.down):
            if level:
                maps = F.max_pool2d(maps, 2, ceil_mode=True)
            maps = convolve(maps)
            passed.append(maps)
        maps = self.widen(self.narrow(maps))
        for level in reversed(range(len(self.up))):
            skip = passed[level]
            maps = self.grow[level](maps)[:, :, : skip.shape[2], : skip.shape[3]]
            if self.skips:
                maps = torch.cat([skip, maps], dim=1)
            maps = self.up[level](maps)
        again: Tensor = self.head(maps)
        return again
