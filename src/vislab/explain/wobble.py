"""Small changes between steps, so that what is painted holds when it is moved, turned or mirrored.

Each is a function (images, generator) to images of the same size. All images of a batch are
changed alike.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

Transform = Callable[[Float[Tensor, "n 3 h w"], Generator], Float[Tensor, "n 3 h w"]]


def jitter(pixels: int) -> Transform:
    """Move by up to so many pixels down and across; what leaves on one side enters on the other."""

    def move(images: Tensor, generator: Generator) -> Tensor:
        down, across = torch.randint(-pixels, pixels + 1, (2,), generator=generator).tolist()
        return images.roll((down, across), dims=(2, 3))

    return move


def tilt(degrees: float = 5.0, zoom: float = 1.1) -> Transform:
    """Turn by up to so many degrees and scale by up to `zoom`, larger or smaller.

    Bilinear; beyond its edge an image is mirrored.
    """

    def turn(images: Tensor, generator: Generator) -> Tensor:
        angle, power = (2 * torch.rand(2, generator=generator) - 1).tolist()
        angle, factor = math.radians(angle * degrees), zoom**power
        ratio = images.shape[3] / images.shape[2]  # the grid measures both sides from -1 to 1
        cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
        matrix = torch.tensor([[cos, -sin / ratio, 0.0], [sin * ratio, cos, 0.0]])
        matrix = matrix.to(images.device).expand(len(images), 2, 3)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    return turn


def mirror() -> Transform:
    """Swap left and right, half of the time."""

    def swap(images: Tensor, generator: Generator) -> Tensor:
        return images.flip(3) if float(torch.rand((), generator=generator)) < 0.5 else images

    return swap
