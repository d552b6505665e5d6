"""The gradient of a class score with respect to the image: what most maps are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.errors import ShapeError, VislabError
from vislab.explain.asking import BLOCKED, ask, checked
from vislab.explain.company import answered
from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, of_class

WRITTEN_OVER = "modified by an inplace operation"


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Run the block with weights that no gradient is kept for: less memory, fewer operations.

    Every parameter's own flag is restored, also after an error.
    """
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in free:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_(True)


def input_gradient(
    model: nn.Module, images: Num[Tensor, "n c h w"], target: Target = None
) -> Float[Tensor, "n c h w"]:
    """Return ∂ score / ∂ image, on the image's device; the class is chosen as in `of_class`.

    Each image's is that of the image alone. Raises ShapeError when gradients do not reach the
    image, or are NaN.
    """
    images = checked(images)
    if not len(images):
        return torch.zeros_like(images)
    with hooked(model, []), still(model), torch.enable_grad():
        asked = leaf(images)
        said = answered(model, asked)
        return _slopes(said.network, asked, said.scores, target)


def score_gradient(
    network: nn.Module, images: Float[Tensor, "n c h w"], target: Target = None
) -> Float[Tensor, "n c h w"]:
    """Return the same of a network that company is known not to sway, as `answered` returns it."""
    with hooked(network, []), still(network), torch.enable_grad():
        asked = leaf(images)
        return _slopes(network, asked, ask(network, asked), target)


def leaf(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Return the same numbers, where gradients arrive; to be used where inference mode is off."""
    own = images.clone() if images.is_inference() else images
    return own.detach().requires_grad_()


def slope(score: Tensor, at: Tensor, signal: Tensor | None = None) -> Tensor:
    """Return ∂ score / ∂ at, of values weighed by `signal` if it is given.

    Raises ShapeError with one sentence where there is none.
    """
    found: Tensor | None = None
    if score.requires_grad:
        try:
            (found,) = torch.autograd.grad(score, at, signal, allow_unused=True)
        except (VislabError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # a user's own backward raises whatever it likes
            raise no_gradient(error) from error
    if found is None:
        raise ShapeError(BLOCKED)
    if bool(found.isnan().any()):
        raise ShapeError(
            "the gradient of the network's answer is NaN, as that of a square root is at 0, so "
            "there is no map; occlusion needs none"
        )
    return found


def no_gradient(error: Exception) -> ShapeError:
    """Return the sentence for a network whose way back fails with an error of its own."""
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return ShapeError(
        f"the gradient of the network's answer cannot be computed: {line}; occlusion needs none"
    )


def _slopes(network: nn.Module, asked: Tensor, scores: Tensor, target: Target) -> Tensor:
    try:
        return slope(of_class(scores, target).sum(), asked)
    except ShapeError as error:
        if WRITTEN_OVER not in str(error):
            raise
        try:  # the same operations, none of which writes over what the way back needs
            scores = torch.func.functionalize(partial(ask, network))(asked)
            return slope(of_class(scores, target).sum(), asked)
        except ShapeError:
            raise error from None


def strength(gradient: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """Return the largest absolute value over the channels, on the CPU."""
    return gradient.abs().amax(dim=1).float().cpu()
