"""The gradient of a class score with respect to the image: what most maps are made of."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, score_of


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Run the block with weights that no gradient is kept for: less memory, fewer operations.

    Every parameter's own flag is restored, also after an error.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def input_gradient(
    model: nn.Module, images: Float[Tensor, "n 3 h w"], target: Target = None
) -> Float[Tensor, "n 3 h w"]:
    """Return ∂ score / ∂ image, on the image's device; the class is chosen as in `score_of`."""
    with hooked(model, []), still(model), torch.enable_grad():
        asked = images.detach().clone().requires_grad_()
        score = score_of(model(asked), target).sum()
        (gradient,) = torch.autograd.grad(score, asked)
    return gradient


def strength(gradient: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
    """Return the largest absolute value over the channels, on the CPU."""
    return gradient.abs().amax(dim=1).float().cpu()
