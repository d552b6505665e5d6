"""How far two sets of maps of the same images agree, such as attention and a CNN's Grad-CAM."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vislab.errors import OptionError, ShapeError


@dataclass(frozen=True)
class Agreement:
    """One number an image each."""

    rank_correlation: Float[Tensor, " n"]
    """Spearman's, from −1 to 1; 0 is chance. NaN where a map is the same everywhere."""
    overlap: Float[Tensor, " n"]
    """Intersection over union of the places where each map is largest. NaN for a flat map too."""
    chance: float
    """The overlap to expect of maps that have nothing to do with each other."""


def agreement(
    first: Float[Tensor, "n a b"], second: Float[Tensor, "m c d"], *, share: float = 0.2
) -> Agreement:
    """Compare maps image by image, `share` being the part of places that counts as largest.

    The finer maps are averaged down to the rows and columns of the coarser, so that no detail is
    invented. Brightness does not matter, only the order of places. Raises ShapeError for sets of
    different lengths.
    """
    if len(first) != len(second):
        raise ShapeError(f"{len(first)} maps cannot be compared with {len(second)} others by pairs")
    if not 0 < share < 1:
        raise OptionError(f"a share of {share:g} of the places is not between 0 and 1")
    size = min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2])
    one, other = (F.adaptive_avg_pool2d(maps[:, None], size).flatten(1) for maps in (first, second))
    flat = (one.amax(1) == one.amin(1)) | (other.amax(1) == other.amin(1))
    cells = one.shape[1]
    top = max(1, round(share * cells))
    marks = [
        torch.zeros_like(maps, dtype=torch.bool).scatter_(
            1, maps.argsort(dim=1, descending=True, stable=True)[:, :top], True
        )
        for maps in (one, other)
    ]
    shared, either = (marks[0] & marks[1]).sum(dim=1), (marks[0] | marks[1]).sum(dim=1)
    return Agreement(
        _correlation(ranks(one), ranks(other)).masked_fill(flat, math.nan),
        (shared / either).masked_fill(flat, math.nan),
        _by_chance(cells, top),
    )


def ranks(values: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Return the place of each value in its row's order, from 0; equal ones share their mean."""
    ordered = values.sort(dim=1).values.contiguous()
    values = values.contiguous()
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    middle: Tensor = (below + up_to - 1) / 2
    return middle


def _correlation(one: Float[Tensor, "n k"], other: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    one, other = (rows.double() - rows.double().mean(dim=1, keepdim=True) for rows in (one, other))
    sizes = one.norm(dim=1) * other.norm(dim=1)
    shared: Tensor = (one * other).sum(dim=1) / sizes.clamp_min(1e-12)
    return shared.float()


def _by_chance(cells: int, top: int) -> float:
    """Return the mean IoU of two random choices of `top` of so many cells."""
    ways = math.comb(cells, top)
    return sum(
        math.comb(top, k) * math.comb(cells - top, top - k) / ways * k / (2 * top - k)
        for k in range(top + 1)
    )
