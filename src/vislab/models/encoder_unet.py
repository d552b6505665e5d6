"""U-Net over any network's maps: timm gives them by name, a light decoder grows them back.

The usual baseline in segmentation (as in Yakubovskiy's segmentation_models.pytorch): each step
doubles the size, puts the encoder's maps of that size beside and convolves twice.
"""

from typing import Any

import timm
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import DataError, OptionError
from vislab.models import from_timm
from vislab.models.hub import reaching_the_hub
from vislab.models.preprocessing import Preprocessing
from vislab.models.unet import two_convolutions

WIDTHS = (16, 32, 64, 128, 256)  # of the decoder, from full size down
TRIED = 64  # pixels: the side of the image that an encoder is tried with


class EncoderUNet(nn.Module):
    """(N, 3, H, W) to class scores (N, K, H, W) over `encoder`, a name of timm's.

    `preprocessing` says what pre-trained weights were shown. Raises OptionError for a network that
    does not give its maps, or takes images of one size only; DataError where weights cannot be
    fetched.
    """

    preprocessing: Preprocessing | None

    def __init__(
        self, *, classes: int, encoder: str = "resnet18", pretrained: bool = False
    ) -> None:
        super().__init__()
        self.encoder, channels, self.stride = _encoder(encoder)
        self.preprocessing = None
        if pretrained:
            self.encoder = _trained(encoder)
            self.preprocessing = from_timm.preprocessing(encoder)
        deepest = len(WIDTHS) - 1
        widths = [WIDTHS[min(level, deepest)] for level in range(1, len(channels))]
        befores = [channels[-1], *reversed(widths[1:])]
        self.up = nn.ModuleList(
            two_convolutions(below + skip, outer)
            for below, skip, outer in zip(
                befores, reversed(channels[:-1]), reversed(widths), strict=True
            )
        )
        self.last = two_convolutions(widths[0], WIDTHS[0])
        self.head = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return class scores (logits) of each pixel."""
        height, width = images.shape[2:]
        # Some encoders halve only even sides; zeros are the mean colour, and are cut off again.
        spare = (0, -width % self.stride, 0, -height % self.stride)
        images = F.pad(images, spare)
        *skips, maps = self.encoder(images)
        for convolve, skip in zip(self.up, reversed(skips), strict=True):
            grown = F.interpolate(maps, size=skip.shape[2:], mode="nearest")
            maps = convolve(torch.cat([grown, skip], dim=1))
        maps = self.last(F.interpolate(maps, size=images.shape[2:], mode="nearest"))
        scores: Tensor = self.head(maps)
        return scores[:, :, :height, :width]


def _encoder(name: str) -> tuple[nn.Module, list[int], int]:
    """Return a network with fresh weights that gives its maps, their channels, the last stride."""
    try:
        encoder: Any = timm.create_model(name, features_only=True, pretrained=False)
        channels = [int(count) for count in encoder.feature_info.channels()]
        with torch.no_grad():
            maps = encoder.eval()(torch.zeros(1, 3, TRIED, TRIED))
    except (RuntimeError, ValueError, AttributeError, AssertionError, TypeError) as error:
        raise OptionError(
            f"timm has no network {name!r} that gives maps of images of any size ({error}); "
            "resnet18 and efficientnet_b0 do"
        ) from error
    if len(channels) < 2 or [one.shape[1] for one in maps] != channels:
        raise OptionError(
            f"timm's {name!r} does not give maps (N, C, H, W) of several sizes; resnet18 and "
            "efficientnet_b0 do"
        )
    found: nn.Module = encoder.train()
    return found, channels, max(encoder.feature_info.reduction())


def _trained(name: str) -> nn.Module:
    try:
        with reaching_the_hub():
            found: nn.Module = timm.create_model(name, features_only=True, pretrained=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"the weights of timm:{name} cannot be fetched ({error})") from error
    return found
