"""Grad-CAM: where in the picture the evidence for a class is.

Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2. The layer is the deepest that still has
places; a transformer's tokens count as places too.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vislab.explain.places import Places, last_places
from vislab.explain.taps import tap


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    target: Int[Tensor, " n"] | None = None,
    *,
    places: Places | None = None,
) -> Float[Tensor, "n i j"]:
    """Return one map a picture, at the layer's own size, zero where there is no evidence.

    The class is the network's own answer unless `target` names one for each picture. The unit is
    that of score times gradient: maps of different pictures are not to be compared in brightness.
    """
    places = places or last_places(model, images[0])
    with tap(model, [places.layer]) as seen, torch.enable_grad():
        scores = model(images.detach().requires_grad_())
        chosen = scores.argmax(dim=1) if target is None else target
        score = scores.gather(1, chosen[:, None]).sum()
        output = seen[places.layer]
        (gradient,) = torch.autograd.grad(score, output)
    maps, slopes = places.read(output.detach()), places.read(gradient)
    weights = slopes.mean(dim=(2, 3), keepdim=True)  # equation 1: (N, C, 1, 1)
    return (weights * maps).sum(dim=1).relu().float().cpu()  # equation 2
