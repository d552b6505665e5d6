"""Look inside a model without leaving a mark on it."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.parameter import is_lazy

from vislab.errors import ShapeError, pick
from vislab.explain.eager import eagerly, scripted


@contextmanager
def hooked(
    model: nn.Module, layers: Sequence[str], *, begin: bool = False, copied: bool = False
) -> Iterator[dict[str, Any]]:
    """Run the block in eval mode and collect the outputs of the named layers.

    With `begin` the layers' outputs are where gradients begin: nothing is kept of what led there.
    With `copied` what follows a layer is given a copy of its output, which it may write over.
    What is compiled or checkpointed runs as it is written, see `eager`. The user's own backward
    hooks are not called.

    Hooks are removed and every module's own mode is restored, also after an error. Raises
    UnknownName when a layer is not in `model.named_modules()`, ShapeError for a network that cannot
    be looked into. An output is what the layer gave, a tensor for most.
    """
    require_weights(model)
    if layers and scripted(model):
        raise ShapeError(
            "the network is TorchScript, inside of which no layer can be seen; give the module "
            "that it was made from"
        )
    modules = dict(model.named_modules())
    modes = {module: module.training for module in model.modules()}
    # A ReLU that works in place would write over what the layer before it gave.
    in_place: list[Any] = [
        m for m in modes if getattr(m, "inplace", False) is True and not isinstance(m, ScriptModule)
    ]
    # The user's backward hooks keep, or change, gradients that are not those of training.
    backward = [(m, m._backward_hooks, m._backward_pre_hooks) for m in modes if _has_backward(m)]
    seen: dict[str, Any] = {}

    def keep(_module: nn.Module, _inputs: Any, output: Any, *, name: str) -> Any:
        seen.pop(name, None)  # a layer used again counts where it was used last
        if not begin or not isinstance(output, Tensor):
            seen[name] = output
            return output.clone() if copied and isinstance(output, Tensor) else None
        seen[name] = output.detach().requires_grad_()
        return seen[name].clone()  # what follows may write over it, as DenseNet's last ReLU does

    hooks = []
    try:
        for name in layers:
            module = pick(modules, name, "layer")
            if not isinstance(module, ScriptModule):
                hooks.append(module.register_forward_hook(partial(keep, name=name)))
        model.eval()
        for module in in_place:
            module.inplace = False
        for module, _, _ in backward:
            module._backward_hooks, module._backward_pre_hooks = OrderedDict(), OrderedDict()
        with eagerly():
            yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
        for module in in_place:
            module.inplace = True
        for module, after, before in backward:
            module._backward_hooks, module._backward_pre_hooks = after, before


def output_of(seen: Mapping[str, Any], layer: str) -> Tensor:
    """Return what a layer gave. Raises ShapeError when that is nothing, or no tensor."""
    if layer not in seen:
        raise ShapeError(f"layer {layer!r} takes no part when the network sees an image")
    output = seen[layer]
    if not isinstance(output, Tensor):
        raise ShapeError(f"layer {layer!r} gives no tensor but {type(output).__name__}")
    return output


def require_weights(model: nn.Module) -> None:
    """Raise ShapeError for a lazy network: to give it weights would be to change it."""
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(weight):
            raise ShapeError(
                f"the network ({type(model).__name__}) has no weights yet: {name} gets its shape "
                "from the first images; show it some before it is explained"
            )


def _has_backward(module: nn.Module) -> bool:
    return not isinstance(module, ScriptModule) and bool(
        module._backward_hooks or module._backward_pre_hooks
    )
