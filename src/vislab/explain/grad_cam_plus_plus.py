"""Grad-CAM++: Grad-CAM that weighs each place by itself, for several objects of a class.

Chattopadhyay et al. 2018, arXiv:1710.11063, equations 10, 11 and 19, with Y = exp(score), whose
higher derivatives are powers of the first. The common factor exp(score) is left out: it scales a
whole map.
"""

from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.grad_cam import maps_and_slopes
from vislab.explain.scores import Target
from vislab.explain.target_layers import TargetLayer


def grad_cam_plus_plus(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    target: Target = None,
    *,
    target_layer: TargetLayer | None = None,
) -> Float[Tensor, "n i j"]:
    """Return one map an image, at the layer's own size, zero where there is no evidence."""
    maps, slopes = maps_and_slopes(model, images, target, target_layer)
    below = 2 * slopes**2 + maps.sum(dim=(2, 3), keepdim=True) * slopes**3
    shares = slopes**2 / below.where(below != 0, 1.0)  # equation 19; 0/0 is no share
    weights = (shares * slopes.relu()).sum(dim=(2, 3), keepdim=True)  # equation 11
    return (weights * maps).sum(dim=1).relu().float().cpu()
