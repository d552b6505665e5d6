"""U-Net: a contracting path, an expanding one, and a skip between them at every size.

Ronneberger, Fischer and Brox 2015, arXiv:1505.04597, figure 1. Differs, as is usual since:
convolutions are padded, so that the answer has the size of the image, and batch normalisation
follows each; an image of uneven sides is halved rounding up and grown back to the very size of
the skip. Any skip can be cut, to see what it carries.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError


class UNet(nn.Module):
    """(N, 3, H, W) to class scores (N, K, H, W), any size.

    `width` channels at full size, doubled at each of `depth` halvings. `cut` names skips that are
    left out, counted from 0 at full size: their channels are zero, the weights stay.
    """

    def __init__(
        self,
        *,
        classes: int,
        width: int = 32,
        depth: int = 4,
        cut: Sequence[int] = (),
        channels: int = 3,
    ) -> None:
        super().__init__()
        unknown = set(cut) - set(range(depth))
        if unknown:
            raise OptionError(
                f"UNet has no skip {min(unknown)} to cut; with depth {depth} they are 0 to "
                f"{depth - 1}"
            )
        self.cut = tuple(cut)
        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            two_convolutions(inner, outer)
            for inner, outer in zip([channels, *widths], widths, strict=False)
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * outer, outer, 2, stride=2) for outer in widths[:-1]
        )
        self.up = nn.ModuleList(two_convolutions(2 * outer, outer) for outer in widths[:-1])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Return class scores (logits) of each pixel."""
        skips: list[Tensor] = []
        maps = images
        for level, convolve in enumerate(self.down):
            if level:
                maps = F.max_pool2d(maps, 2, ceil_mode=True)
            maps = convolve(maps)
            skips.append(maps)
        for level in reversed(range(len(self.up))):
            skip = skips[level]
            maps = self.grow[level](maps)[:, :, : skip.shape[2], : skip.shape[3]]
            if level in self.cut:
                skip = torch.zeros_like(skip)
            maps = self.up[level](torch.cat([skip, maps], dim=1))
        scores: Tensor = self.head(maps)
        return scores


def two_convolutions(inner: int, outer: int) -> nn.Sequential:
    """Return two 3×3 convolutions, each with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
        nn.Conv2d(outer, outer, 3, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )
