"""Is what a map marks what the network needs? Deletion and insertion.

Petsiuk, Das and Saenko 2018, arXiv:1806.07421, section 3.2. Deletion covers the image from the
most important pixel to the least: the sooner the probability falls, the better the map. Insertion
begins with a covered image and brings the pixels back in the same order. A cover is itself
something a network may react to, so there are two: the image blurred, and its mean colour.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from vislab.errors import ShapeError

Probability = Callable[[Tensor], Tensor]  # (B, 3, H, W) to the (B,) of one class


def replaced_by_rank(
    probability: Probability,
    begin: Float[Tensor, "3 h w"],
    end: Float[Tensor, "3 h w"],
    found: Float[Tensor, "i j"],
    *,
    steps: int = 20,
    batch: int = 32,
) -> Float[Tensor, " steps_and_one"]:
    """Return the probability while one image turns into the other, largest of the map first.

    From none to all of the pixels in equal shares. A map of cells is widened to pixels; equal
    values are replaced in one order for all maps, from the upper left.
    """
    height, width = begin.shape[1:]
    rank = rank_of_pixels(found.to(begin.device), height, width)
    limits = torch.linspace(0, height * width, steps + 1, device=begin.device).round()
    seen = []
    for some in torch.split(limits, batch):
        done = rank < some[:, None, None]  # (B, H, W)
        seen.append(probability(torch.where(done[:, None], end, begin)))
    return torch.cat(seen).float().cpu()


def rank_of_pixels(found: Float[Tensor, "i j"], height: int, width: int) -> Float[Tensor, "h w"]:
    """Return 0 for the pixel of the map's largest value, and so on."""
    if not bool(found.isfinite().all()):
        raise ShapeError("a map with values that are not numbers has no order of pixels")
    wide = F.interpolate(
        found[None, None].float(), (height, width), mode="bilinear", align_corners=False
    )[0, 0]
    order = wide.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank.view(height, width).float()


def area(curve: Float[Tensor, "*n t"]) -> Float[Tensor, "*n"]:
    """Return the area under a curve over shares from 0 to 1, by trapezoids."""
    mean: Tensor = torch.trapezoid(curve, dim=-1) / (curve.shape[-1] - 1)
    return mean


def blurred(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return images in which no detail is left; the blur's std is a twentieth of a side."""
    side = min(images.shape[2:])
    std = max(side / 20, 1.0)
    half = min(int(3 * std), (side - 1) // 2)
    blurred: Tensor = gaussian_blur(images, [2 * half + 1] * 2, [std] * 2)
    return blurred


def mean_colour(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return images of one colour, each its own mean."""
    return images.mean(dim=(2, 3), keepdim=True).expand_as(images)


GROUNDS = {"blur": blurred, "mean colour": mean_colour}


def random_maps(
    count: int, height: int, width: int, *, cells: int = 7, seed: int = 0
) -> Float[Tensor, "count h w"]:
    """Return smooth maps of chance: what any map has to be better than."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, cells, cells, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[:, 0]


def centre_map(height: int, width: int) -> Float[Tensor, "h w"]:
    """Return a round hill in the middle, where photographers put what matters."""
    down = torch.linspace(-1, 1, height)[:, None]
    across = torch.linspace(-1, 1, width)
    return torch.exp(-2 * (down**2 + across**2))
