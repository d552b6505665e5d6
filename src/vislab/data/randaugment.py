"""RandAugment on whole batches: each image goes through its own operations at its own strength.

Cubuk et al. 2020, arXiv:1909.13719, section 3; strengths of magnitude M of 30 as in the paper's
code and torchvision's. The batch is walked operation by operation, never image by image.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as vision

Values = Float[Tensor, "n 3 s s"]
Signed = Float[Tensor, " n"]  # the strength in [-1, 1], sign drawn per image

GREY = (0.299, 0.587, 0.114)


def randaugment(
    pixels: UInt8[Tensor, "n s s 3"],
    rows: Int[Tensor, " n"],
    count: int,
    generator: Generator,
    *,
    operations: int,
    magnitude: int,
) -> UInt8[Tensor, "n s s 3"]:
    """Apply `operations` random operations, one after another, at `magnitude` of 30.

    Draws are made for the whole batch of `count`; `rows` says which of it these images are.
    """
    images = pixels.permute(0, 3, 1, 2)
    for _ in range(operations):
        which = torch.randint(len(OPERATIONS), (count,), generator=generator)[rows]
        sign = (torch.randint(2, (count,), generator=generator) * 2 - 1)[rows]
        strength = (sign * (magnitude / 30)).to(images.device)
        out = images.clone()
        for number, operation in enumerate(OPERATIONS):
            chosen = torch.nonzero(which == number).flatten().to(images.device)
            if len(chosen):
                changed = operation(images[chosen].to(torch.float32), strength[chosen])
                out[chosen] = changed.round().clamp(0, 255).to(torch.uint8)
        images = out
    return images.permute(0, 2, 3, 1).contiguous()


def _moved(
    values: Values, matrix: Callable[[Signed, Signed, Signed], list[list[Signed]]], by: Signed
) -> Values:
    """Sample bilinearly through a 2×3 matrix an image; what comes from outside is black."""
    zero, one = torch.zeros_like(by), torch.ones_like(by)
    rows = matrix(by, zero, one)
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (N, 2, 3)
    grid = F.affine_grid(theta, list(values.shape), align_corners=False)
    return F.grid_sample(values, grid, mode="bilinear", align_corners=False)


def identity(values: Values, by: Signed) -> Values:
    """Change nothing."""
    return values


def shear_x(values: Values, by: Signed) -> Values:
    """Slant rows by up to 0.3."""
    return _moved(values, lambda t, o, i: [[i, t, o], [o, i, o]], 0.3 * by)


def shear_y(values: Values, by: Signed) -> Values:
    """Slant columns by up to 0.3."""
    return _moved(values, lambda t, o, i: [[i, o, o], [t, i, o]], 0.3 * by)


def translate_x(values: Values, by: Signed) -> Values:
    """Move sideways by up to 0.45 of the side."""
    return _moved(values, lambda t, o, i: [[i, o, t], [o, i, o]], 2 * 0.45 * by)


def translate_y(values: Values, by: Signed) -> Values:
    """Move up or down by up to 0.45 of the side."""
    return _moved(values, lambda t, o, i: [[i, o, o], [o, i, t]], 2 * 0.45 * by)


def rotate(values: Values, by: Signed) -> Values:
    """Turn by up to 30 degrees."""
    angle = math.radians(30) * by
    return _moved(
        values,
        lambda t, o, _: [[t.cos(), -t.sin(), o], [t.sin(), t.cos(), o]],
        angle,
    )


def _blend(values: Values, towards: Values, by: Signed) -> Values:
    """Move away from (by > 0) or towards (by < 0) another image by 0.9·|by|."""
    factor = (1 + 0.9 * by)[:, None, None, None]
    return (towards + factor * (values - towards)).clamp(0, 255)


def _grey(values: Values) -> Float[Tensor, "n 1 s s"]:
    weights = torch.tensor(GREY, device=values.device)[:, None, None]
    return (values * weights).sum(dim=1, keepdim=True)


def brightness(values: Values, by: Signed) -> Values:
    """Blend with black."""
    return _blend(values, torch.zeros_like(values), by)


def colour(values: Values, by: Signed) -> Values:
    """Blend with the grey image."""
    return _blend(values, _grey(values).expand_as(values), by)


def contrast(values: Values, by: Signed) -> Values:
    """Blend with the mean grey."""
    mean = _grey(values).mean(dim=(1, 2, 3), keepdim=True)
    return _blend(values, mean.expand_as(values), by)


def sharpness(values: Values, by: Signed) -> Values:
    """Blend with a 3×3 smoothing (weights 1, centre 5, of 13); the border is kept."""
    kernel = torch.ones(3, 3, device=values.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(3, 1, 3, 3)
    smooth = values.clone()
    if min(values.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = F.conv2d(values, kernel, groups=3)
    return _blend(values, smooth, by)


def posterize(values: Values, by: Signed) -> Values:
    """Keep 8 bits at strength 0 and 4 at strength 1."""
    step = 2.0 ** (4 * by.abs()).round()[:, None, None, None]
    return (values / step).floor() * step


def solarize(values: Values, by: Signed) -> Values:
    """Invert what is brighter than a threshold that falls from 255 to 0."""
    threshold = 255 * (1 - by.abs())[:, None, None, None]
    return torch.where(values >= threshold, 255 - values, values)


def autocontrast(values: Values, by: Signed) -> Values:
    """Stretch each channel to the full range."""
    changed: Tensor = vision.autocontrast(values.to(torch.uint8))
    return changed.to(torch.float32)


def equalize(values: Values, by: Signed) -> Values:
    """Flatten each channel's histogram."""
    changed: Tensor = vision.equalize(values.to(torch.uint8))
    return changed.to(torch.float32)


OPERATIONS: tuple[Callable[[Values, Signed], Values], ...] = (
    identity, shear_x, shear_y, translate_x, translate_y, rotate, brightness, colour, contrast,
    sharpness, posterize, solarize, autocontrast, equalize,
)  # fmt: skip
