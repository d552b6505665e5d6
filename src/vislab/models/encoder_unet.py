"""U-Net over any network's maps: timm gives them by name, a light decoder grows them back.

The usual baseline in segmentation (as in Yakubovskiy's segmentation_models.pytorch): each step
doubles the size, puts the encoder's maps of that size beside and convolves twice.
"""

from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError
from vislab.models.unet import two_convolutions

WIDTHS = (16, 32, 64, 128, 256)  # of the decoder, from full size down


class EncoderUNet(nn.Module):
    """(N, 3, H, W) to class scores (N, K, H, W) over `encoder`, a name of timm's."""

    def __init__(
        self, *, classes: int, encoder: str = "resnet18", pretrained: bool = False
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"features_only": True, "pretrained": pretrained}
        try:
            self.encoder = timm.create_model(encoder, **options)
        except (RuntimeError, ValueError, AttributeError) as error:
            raise OptionError(
                f"timm has no network {encoder!r} that gives its maps ({error}); "
                "resnet18 and efficientnet_b0 do"
            ) from error
        channels: list[int] = list(self.encoder.feature_info.channels())  # type: ignore[union-attr, operator]
        widths = WIDTHS[1 : len(channels)]
        deep = [channels[-1], *reversed(widths)]
        self.up = nn.ModuleList(
            two_convolutions(below + skip, outer)
            for below, skip, outer in zip(
                deep, reversed(channels[:-1]), reversed(widths), strict=False
            )
        )
        self.last = two_convolutions(widths[0], WIDTHS[0])
        self.head = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return class scores (logits) of each pixel."""
        *skips, maps = self.encoder(images)
        for convolve, skip in zip(self.up, reversed(skips), strict=True):
            grown = F.interpolate(maps, size=skip.shape[2:], mode="nearest")
            maps = convolve(torch.cat([grown, skip], dim=1))
        maps = self.last(F.interpolate(maps, size=images.shape[2:], mode="nearest"))
        scores: Tensor = self.head(maps)
        return scores
