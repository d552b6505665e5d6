"""What the weights look like: first-layer kernels as images, magnitudes by depth.

Source: GNR-650, assignment 1.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vislab.errors import ShapeError


def kernels(model: nn.Module) -> UInt8[Tensor, "f h w 3"]:
    """Return the kernels of the first convolution over RGB, each stretched to its own full range.

    Mid grey is a weight of zero. Raises ShapeError when the model has no such convolution.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1:
            return weights_as_images(module.weight.detach())
    raise ShapeError("the model has no convolution over 3 channels to show in colour")


def weights_as_images(weights: Float[Tensor, "f 3 h w"]) -> UInt8[Tensor, "f h w 3"]:
    """Return weights over RGB as images, each stretched to its own full range; 0 is mid grey."""
    weights = weights.float().cpu()
    largest = weights.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    shades = 127.5 * (1 + weights / largest)
    return shades.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def kernel_magnitudes(model: nn.Module) -> dict[str, float]:
    """Return the L2 norm of each convolution's and linear layer's weight, in order of depth."""
    return {
        name: float(module.weight.detach().float().norm())
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
