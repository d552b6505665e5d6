"""How many images a network takes at once within a memory budget."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vislab.explain.asking import answer
from vislab.explain.eager import scripted
from vislab.explain.gradients import leaf
from vislab.explain.hooks import hooked

BUDGET = 512 << 20  # bytes of activations
LARGEST = 64  # images
CACHED = 128 << 20  # bytes: beyond, a processor's caches are left (MobileNetV2: a third slower)
AT_WORK = 3  # of a layer: what it reads, what it writes, what its kernel lays out anew


def batch_within(
    model: nn.Module,
    image: Float[Tensor, "channels h w"],
    budget: int | None = None,
    *,
    gradients: bool = False,
) -> int:
    """Return how many images like this one fit into a budget of bytes, at least one.

    Found by running one. With `gradients` what the way back needs is kept for all layers; without,
    only the largest layer counts.
    """
    budget = BUDGET if budget is None else budget
    each = _bytes_kept(model, image) if gradients else AT_WORK * _largest_output(model, image)
    if image.device.type == "cpu":
        budget = min(budget, CACHED)
    return max(1, min(LARGEST, budget // max(each, 1)))


def _largest_output(model: nn.Module, image: Tensor) -> int:
    names = [name for name, module in model.named_modules() if name and not [*module.children()]]
    with hooked(model, [] if scripted(model) else names) as seen, torch.no_grad():
        answer(model, image[None])
    sizes = [out.numel() * out.element_size() for out in seen.values() if isinstance(out, Tensor)]
    return max([image.numel() * image.element_size(), *sizes])


def _bytes_kept(model: nn.Module, image: Tensor) -> int:
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        return tensor

    with hooked(model, []), torch.enable_grad(), saved_tensors_hooks(count, unpack):
        answer(model, leaf(image[None]))
    return sum(kept.values())
