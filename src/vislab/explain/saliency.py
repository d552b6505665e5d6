"""Saliency: how much the class score changes with each pixel.

Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, section 3.1: the absolute gradient of the
class *score*, not of the loss, and its maximum over the channels.
"""

from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.explain.gradients import input_gradient, strength
from vislab.explain.scores import Target


def saliency(
    model: nn.Module, images: Num[Tensor, "n c h w"], target: Target = None
) -> Float[Tensor, "n h w"]:
    """Return one map an image, in units of score for each unit of a normalised pixel."""
    return strength(input_gradient(model, images, target))
