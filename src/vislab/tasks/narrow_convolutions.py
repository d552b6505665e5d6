"""Keep oneDNN from writing past its workspace in the gradient of one kind of convolution.

A 1×1 convolution with a stride and fewer than 16 channels in, its images laid out channels last,
corrupts memory when the gradient of its weights is computed on a processor: the process dies, or
the gradient is wrong (uxlfoundation/oneDNN issue 6035). ResNets for small images have such
shortcuts. Laid out channels first, the same layer is computed by other code.
"""

from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 16  # channels that oneDNN's kernels take at once, on the widest processors


def guard_narrow_convolutions(model: nn.Module) -> None:
    """See to it that these layers are given images channels first; done once a layer."""
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (1, 1)
            and max(module.stride) > 1
            and module.in_channels // module.groups < BLOCK
            and _channels_first not in module._forward_pre_hooks.values()
        ):
            module.register_forward_pre_hook(_channels_first)


def _channels_first(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    x = inputs[0]
    if not (isinstance(x, Tensor) and x.device.type == "cpu" and torch.is_grad_enabled()):
        return None
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    # Of a kernel of 1×1 both layouts are the same in memory; its strides say which is meant.
    if weight.stride(3) != 1:
        weight.data = weight.data.flatten(1)[..., None, None]
    return (x.contiguous(), *inputs[1:])
