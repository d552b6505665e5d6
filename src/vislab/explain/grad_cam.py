"""Grad-CAM: where in the image the evidence for a class is.

Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2. The layer is the deepest that still has
places; a transformer's tokens count as places too.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.asking import ask, checked, raw_scores, said_by
from vislab.explain.company import OneByOne, sways
from vislab.explain.gradients import slope, still
from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, chosen, of_class, sides
from vislab.explain.target_layers import TargetLayer, last_target_layer


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    target: Target = None,
    *,
    target_layer: TargetLayer | None = None,
) -> Float[Tensor, "n i j"]:
    """Return one map an image, at the layer's own size, zero where there is no evidence.

    The unit is that of score times gradient: maps of different images are not to be compared in
    brightness. `target_layer` is another one than the deepest with places.
    """
    maps, slopes = maps_and_slopes(model, images, target, target_layer)
    weights = slopes.mean(dim=(2, 3), keepdim=True)  # equation 1: (N, C, 1, 1)
    return (weights * maps).sum(dim=1).relu().float().cpu()  # equation 2


def maps_and_slopes(
    model: nn.Module, images: Tensor, target: Target, target_layer: TargetLayer | None
) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n c i j"]]:
    """Return a layer's maps and the gradients of the class scores with respect to them.

    Only what comes after the layer is kept for the way back. Each image's are those of the image
    alone.
    """
    images = checked(images)
    if not len(images):
        return torch.zeros(0, 1, 1, 1), torch.zeros(0, 1, 1, 1)
    target_layer = target_layer or last_target_layer(model, images[0])
    try:
        raw, maps, slopes = _slopes(model, images, target, target_layer)
        with hooked(model, []), torch.no_grad():
            if len(images) == 1 or not sways(model, images, raw):
                return maps, slopes
    except ShapeError:
        if len(images) == 1:  # else it may take one image alone
            raise
    with hooked(model, []), torch.no_grad():
        wanted = chosen(ask(OneByOne(model), images), target)
    alone = [
        _slopes(model, images[k : k + 1], wanted[k : k + 1], target_layer)
        for k in range(len(images))
    ]
    _, several, theirs = zip(*alone, strict=True)
    return torch.cat(several), torch.cat(theirs)


def _slopes(
    model: nn.Module, images: Tensor, target: Target, target_layer: TargetLayer
) -> tuple[Tensor, Tensor, Tensor]:
    """Return raw scores, the layer's maps and gradients of images in each other's company."""
    with hooked(model, [target_layer.layer], begin=True) as seen, still(model), torch.enable_grad():
        raw = raw_scores(model, images)
        score = of_class(sides(raw, said_by(model)), target).sum()
        output = seen[target_layer.layer]
        gradient = slope(score, output)
    return raw.detach(), target_layer.read(output.detach()), target_layer.read(gradient)
