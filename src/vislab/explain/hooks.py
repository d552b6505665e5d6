"""Look inside a model without leaving a mark on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from vislab.errors import pick


@contextmanager
def hooked(
    model: nn.Module, layers: Sequence[str], *, begin: bool = False
) -> Iterator[dict[str, Any]]:
    """Run the block in eval mode and collect the outputs of the named layers.

    With `begin` the layers' outputs are where gradients begin: nothing is kept of what led there.

    Hooks are removed and every module's own mode is restored, also after an error. Raises
    UnknownName when a layer is not in `model.named_modules()`. An output is what the layer gave, a
    tensor for most.
    """
    modules = dict(model.named_modules())
    modes = {module: module.training for module in model.modules()}
    # A ReLU that works in place would write over what the layer before it gave.
    in_place: list[Any] = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    seen: dict[str, Any] = {}

    def keep(_module: nn.Module, _inputs: Any, output: Any, *, name: str) -> Any:
        seen.pop(name, None)  # a layer used again counts where it was used last
        if not begin or not isinstance(output, Tensor):
            seen[name] = output
            return None
        seen[name] = output.detach().requires_grad_()
        return seen[name].clone()  # what follows may write over it, as DenseNet's last ReLU does

    hooks = []
    try:
        for name in layers:
            module = pick(modules, name, "layer")
            hooks.append(module.register_forward_hook(partial(keep, name=name)))
        model.eval()
        for module in in_place:
            module.inplace = False
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
        for module in in_place:
            module.inplace = True
