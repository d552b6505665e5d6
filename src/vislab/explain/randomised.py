"""Does a map come from what the network has learned? The same map, once the weights are random.

Adebayo et al. 2018, arXiv:1810.03292, section 3: a map that stays as it was when the weights are
random shows the image or the architecture, not the reasons of the network.
"""

import torch
from torch import Tensor, nn

from vislab.explain.copies import copied
from vislab.explain.hooks import require_weights
from vislab.ops.seeding import seed_of


def randomised(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Return a copy in which the values of every weight have changed places at random.

    So each layer keeps the distribution of its weights, and nothing of what it learned. Raises
    ShapeError for a network that cannot be copied, or has no weights yet.
    """
    require_weights(model)
    other = copied(model)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            weight.copy_(_shuffled(weight, seed_of(seed, name)))
    return other


def _shuffled(weight: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
    return weight.flatten()[order].view_as(weight)
