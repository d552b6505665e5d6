"""Integrated gradients: the gradient along the way from a baseline, times the way.

Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equation 1. The integral is a Gauss-Legendre sum,
which needs fewer steps than equal ones. Completeness (their proposition 1): the attributions of an
image add up to its score less the baseline's, but for the error of the sum.
"""

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.explain.asking import checked
from vislab.explain.batching import batch_within
from vislab.explain.company import answered
from vislab.explain.gradients import score_gradient
from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, chosen
from vislab.progress import track


def integrated_gradients(
    model: nn.Module,
    images: Num[Tensor, "n c h w"],
    target: Target = None,
    *,
    baseline: float | Float[Tensor, "c h w"] = 0.0,
    steps: int = 50,
    budget: int | None = None,
    quiet: bool = False,
) -> Float[Tensor, "n c h w"]:
    """Return what each value of each image adds to the class score, with its sign.

    The baseline is in normalised units: 0 is the mean colour of what the network was trained on.
    Sum over the channels for one map. `budget` is memory in bytes.
    """
    images = checked(images)
    if not len(images):
        return torch.zeros(images.shape)
    with hooked(model, []), torch.no_grad():
        said = answered(model, images, many=True)
        wanted, network = chosen(said.scores, target), said.network
    places, shares = np.polynomial.legendre.leggauss(steps)  # on [-1, 1], weights sum to 2
    along = torch.tensor((places + 1) / 2, dtype=images.dtype, device=images.device)
    weights = torch.tensor(shares / 2, dtype=images.dtype, device=images.device)
    batch = batch_within(network, images[0], budget, gradients=True)
    found = []
    total = steps * len(images)
    with track("integrated gradients", total=total, unit="passes", quiet=quiet) as advance:
        for image, label in zip(images, wanted.tolist(), strict=True):
            way = image - baseline
            mean = torch.zeros_like(image)
            for start in range(0, steps, batch):
                part = slice(start, start + batch)
                points = baseline + along[part, None, None, None] * way
                slopes = score_gradient(network, points, label)
                mean += (weights[part, None, None, None] * slopes).sum(dim=0)
                advance(len(points))
            found.append(way * mean)
    return torch.stack(found).float().cpu()
