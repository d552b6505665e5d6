"""An image that can be painted by gradients: RGB in [0, 1] as a function of free values.

Olah, Mordvintsev and Schubert 2017, "Feature visualization" (doi:10.23915/distill.00007): steepest
ascent in the space of pixels paints noise of high frequency; in a space where the colours are
uncorrelated and every frequency has the energy that it has in photos, it paints shapes.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from vislab.errors import DataError, OptionError

# Columns are the axes along which the RGB of photos varies: dark and bright, blue and red, green
# and violet; a column's length is the std along it, over the largest. Of 100 photos.
COLOURS = ((0.562, 0.203, 0.049), (0.583, 0.001, -0.099), (0.587, -0.195, 0.051))


@runtime_checkable
class Canvas(Protocol):
    """What `paint` works on."""

    values: Tensor
    """The free values, one slice for each image; a leaf."""

    def image(self) -> Float[Tensor, "n 3 h w"]:
        """Return RGB in [0, 1], differentiable by the values."""

    def settle(self) -> None:
        """Put the values back where they mean an image, after each step."""

    def blur(self, sigma: float) -> None:
        """Take out fine detail, as a Gaussian of so many pixels does."""


class Pixels:
    """An image that is its own values; a step beyond black or white is taken back."""

    def __init__(self, start: Float[Tensor, "n 3 h w"]) -> None:
        """Begin with images in [0, 1]; they are copied."""
        self.values = check_images(start).float().clone().requires_grad_()

    def image(self) -> Float[Tensor, "n 3 h w"]:
        """Return the values."""
        return self.values

    def settle(self) -> None:
        """Cut to [0, 1]."""
        with torch.no_grad():
            self.values.clamp_(0, 1)

    def blur(self, sigma: float) -> None:
        """Convolve with a Gaussian; the border is repeated outwards."""
        reach = max(1, math.ceil(3 * sigma))
        apart = torch.arange(-reach, reach + 1, device=self.values.device).float()
        kernel = torch.exp(-0.5 * (apart / sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # (3, 1, 1, 2R + 1)
        with torch.no_grad():
            wide = F.pad(self.values, (reach, reach, reach, reach), mode="replicate")
            across = F.conv2d(wide, kernel, groups=3)
            self.values.copy_(F.conv2d(across, kernel.mT, groups=3))


class Fourier:
    """An image whose values are amplitudes of waves, in uncorrelated colours.

    A wave's amplitude is divided by its frequency, as in photos; a sigmoid keeps pixels in [0, 1].
    Opposite edges of the image meet.
    """

    def __init__(
        self, count: int, height: int, width: int, generator: Generator, *, std: float = 0.01
    ) -> None:
        """Begin with noise that is nearly grey."""
        if min(count, height, width) < 1:
            raise OptionError(f"{count} images of {height}×{width} pixels are nothing to paint")
        self.size = height, width
        down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
        self.frequencies = torch.hypot(down, across)  # (H, W // 2 + 1), cycles a pixel
        self.scale = 1 / self.frequencies.clamp_min(1 / max(height, width))
        shape = (count, 3, *self.frequencies.shape, 2)  # real and imaginary
        noise = std * torch.randn(shape, generator=generator)
        self.colours = torch.tensor(COLOURS)
        self.values = noise.requires_grad_()

    def to(self, device: torch.device) -> "Fourier":
        """Move the canvas; before it is painted on."""
        self.frequencies, self.scale = self.frequencies.to(device), self.scale.to(device)
        self.colours = self.colours.to(device)
        self.values = self.values.detach().to(device).requires_grad_()
        return self

    def image(self) -> Float[Tensor, "n 3 h w"]:
        """Sum the waves, mix the colours, squeeze into [0, 1]."""
        spectrum = torch.view_as_complex(self.values) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        return torch.einsum("rc,nchw->nrhw", self.colours, waves).sigmoid()

    def settle(self) -> None:
        """Do nothing: all values mean an image."""

    def blur(self, sigma: float) -> None:
        """Multiply by the transform of a Gaussian: the waves are blurred before the sigmoid."""
        passed = torch.exp(-2 * (math.pi * sigma * self.frequencies) ** 2)
        with torch.no_grad():
            self.values.mul_(passed[..., None])


def check_images(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return the images. Raises DataError when they are not RGB in [0, 1]."""
    low, high = (float(edge) for edge in images.detach().aminmax())
    if not 0 <= low <= high <= 1:
        raise DataError(
            f"images to paint on are RGB from 0 to 1, got {low:.3g} to {high:.3g}; give them as "
            "they are before normalisation"
        )
    return images.detach()


def device_of(model: nn.Module) -> torch.device:
    """Return where the network's weights are; the CPU when it has none."""
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))
