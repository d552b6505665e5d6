"""How the weights of each layer are spread, and the gradients that would change them.

Source: GNR-650, assignment 1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vislab.explain.hooks import hooked
from vislab.explain.scores import class_scores


@dataclass(frozen=True)
class Histogram:
    """Counts of values between edges."""

    edges: Float[np.ndarray, " bins_and_one"]
    counts: Int[np.ndarray, " bins"]


def weight_histograms(model: nn.Module, *, bins: int = 60) -> dict[str, Histogram]:
    """Return one for the weight of each layer that has a matrix or kernel, in order of depth."""
    return {name: _histogram(weight.detach(), bins) for name, weight in _weights(model).items()}


def gradient_histograms(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    labels: Int[Tensor, " n"],
    *,
    bins: int = 60,
) -> dict[str, Histogram]:
    """Return one for the gradient of the mean cross-entropy by each such weight, in eval mode.

    A weight that the answer does not depend on, or that is frozen, has none.
    """
    weights = {name: one for name, one in _weights(model).items() if one.requires_grad}
    with hooked(model, []), torch.enable_grad():
        loss = nn.functional.cross_entropy(class_scores(model(images)), labels)
        slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    named = zip(weights, slopes, strict=True)
    return {name: _histogram(slope, bins) for name, slope in named if slope is not None}


def _weights(model: nn.Module) -> dict[str, nn.Parameter]:
    return {
        name: module.weight
        for name, module in model.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter) and module.weight.ndim > 1
    }


def _histogram(values: Tensor, bins: int) -> Histogram:
    counts, edges = np.histogram(values.float().cpu().numpy(), bins=bins)
    return Histogram(edges, counts)
