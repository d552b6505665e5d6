"""How true the colours of an image are, and how many it has."""

import torch
from jaxtyping import Float
from torch import Tensor

ALIKE = 100.0  # decibels: what is written for images that do not differ


def psnr(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Return the peak signal-to-noise ratio of each pair in decibels; infinite where alike.

    10 log₁₀(1 / mean square of a − b): pixels in [0, 1], so that the peak is 1.
    """
    return -10 * (a - b).square().mean(dim=(1, 2, 3)).log10()


def colourfulness(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Return how colourful each image, sRGB in [0, 1], looks: 0 for a grey one.

    Hasler and Süsstrunk 2003, doi:10.1117/12.477378, their M⁽³⁾: with rg = R − G and
    yb = (R + G)/2 − B over pixels of 0 to 255,

        √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb)

    Their viewers called 15 slightly, 45 averagely, 82 highly and 109 extremely colourful.
    """
    red, green, blue = (255 * pixels).unbind(dim=1)
    opponents = torch.stack((red - green, (red + green) / 2 - blue), dim=1).flatten(2)  # (N, 2, HW)
    spread = opponents.var(dim=2, correction=0).sum(dim=1).sqrt()
    return spread + 0.3 * opponents.mean(dim=2).square().sum(dim=1).sqrt()
