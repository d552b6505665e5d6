"""The three losses of style transfer, with the names and conventions of EECS 498/598, assignment 4.

Gatys, Ecker and Bethge 2016, arXiv:1508.06576, with F the features of the image being made, P of
the content image, both (C, M) with M = H · W places, and G, A the Gram matrices of the image
being made and of the style image:

    content   w Σ_cm (F_cm − P_cm)²                          (equation 1, without its ½)
    Gram      G_cd = Σ_m F_cm F_dm / (C M)                   (equation 3; scaled as the course does)
    style     Σ_l w_l Σ_cd (G_cd − A_cd)²                    (equations 4 and 5)
    variation w Σ [(x_c,i+1,j − x_cij)² + (x_c,i,j+1 − x_cij)²]   (the course's)

All are sums over images, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vislab.errors import ShapeError


def content_loss(
    content_weight: float,
    current: Float[Tensor, "n c h w"],
    original: Float[Tensor, "n c h w"],
) -> Float[Tensor, ""]:
    """Return how far features are from those of the content image."""
    return content_weight * (current - original).square().sum()


def gram_matrix(
    features: Float[Tensor, "n c h w"], normalize: bool = True
) -> Float[Tensor, "n c c"]:
    """Return which channels are large together, wherever that is.

    `normalize` divides by C · H · W, so that images of different sizes compare.
    """
    rows = features.flatten(2)  # (N, C, M)
    gram = rows @ rows.mT
    return gram / rows[0].numel() if normalize else gram


def style_loss(
    features: Sequence[Tensor] | Mapping[str, Tensor],
    style_layers: Sequence[int] | Sequence[str],
    style_targets: Sequence[Tensor],
    style_weights: Sequence[float | int],
) -> Float[Tensor, ""]:
    """Return how far Gram matrices are from those of the style image, summed over layers.

    `features[layer]` are (N, C, H, W), for each place or name in `style_layers`; targets and
    weights stand in the order of the layers. Raises ShapeError when there are not as many of each.
    """
    if not len(style_layers) == len(style_targets) == len(style_weights) > 0:
        raise ShapeError(
            f"{len(style_layers)} style layers with {len(style_targets)} targets and "
            f"{len(style_weights)} weights; each layer needs one of both"
        )
    given: Any = features
    terms = [
        weight * (gram_matrix(given[layer]) - target).square().sum()
        for layer, target, weight in zip(style_layers, style_targets, style_weights, strict=True)
    ]
    return torch.stack(terms).sum()


def tv_loss(image: Float[Tensor, "n 3 h w"], weight: float) -> Float[Tensor, ""]:
    """Return how much neighbouring pixels differ, down and across."""
    return weight * (image.diff(dim=2).square().sum() + image.diff(dim=3).square().sum())
