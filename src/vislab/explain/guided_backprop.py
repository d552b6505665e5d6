"""Guided back-propagation: the gradient without what speaks against the class on its way.

Springenberg et al. 2015, arXiv:1412.6806, section 3.4. It shows edges of the image more than the
reasons of the network (Adebayo et al. 2018, arXiv:1810.03292): see `randomised`.
"""

from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.explain.relu_rules import ruled_gradient
from vislab.explain.scores import Target


def guided_backprop(
    model: nn.Module, images: Num[Tensor, "n c h w"], target: Target = None
) -> Float[Tensor, "n c h w"]:
    """Return one signed image of gradients an image; 0 is no influence.

    Raises ShapeError for a network whose activations are not ReLUs.
    """
    return ruled_gradient(model, images, target, "guided")
