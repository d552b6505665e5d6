"""Nearest neighbours among features, and whether a map keeps them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vislab.errors import OptionError, ShapeError

BLOCK = 2**24  # distances in memory at once


def nearest(
    features: Float[Tensor, "n d"], count: int
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Return the Euclidean distances to the `count` nearest others, and which they are."""
    distances, found = [], []
    for rows in _blocks(len(features)):
        apart = torch.cdist(features[rows], features)
        apart[torch.arange(len(rows)), rows] = torch.inf  # not itself
        best = apart.topk(count, largest=False)
        distances.append(best.values)
        found.append(best.indices)
    return torch.cat(distances), torch.cat(found)


def trustworthiness(
    features: Float[Tensor, "n d"], points: Float[Tensor, "m k"], *, neighbours: int = 12
) -> float:
    """Return how far neighbours on the map are neighbours among the features; 1 is all.

    Venna & Kaski 2001: 1 minus the mean of how far beyond the k nearest they rank, scaled; 0.5 is
    chance. Raises OptionError where there are not over 2k points.
    """
    count = len(features)
    if count != len(points):
        raise ShapeError(f"{len(points)} points on a map are not of {count} features")
    if not 0 < neighbours < count / 2:
        raise OptionError(
            f"trustworthiness among {neighbours} neighbours needs more than "
            f"{2 * neighbours} points, got {count}; ask for fewer"
        )
    _, found = nearest(points, neighbours)
    too_far = 0.0
    for rows in _blocks(count):
        apart = torch.cdist(features[rows], features)
        apart[torch.arange(len(rows)), rows] = -1.0  # itself comes first: rank 0
        order = apart.argsort(dim=1, stable=True)
        ranks = torch.empty_like(order).scatter_(1, order, torch.arange(count).expand_as(order))
        beyond = ranks.gather(1, found[rows]) - neighbours
        too_far += float(beyond.clamp_min(0).sum())
    most = count * neighbours * (2 * count - 3 * neighbours - 1) / 2
    return 1 - too_far / most


def _blocks(count: int) -> tuple[Int[Tensor, " b"], ...]:
    return torch.split(torch.arange(count), max(1, BLOCK // max(count, 1)))
