"""Look inside a model without leaving a mark on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from vislab.errors import pick


@contextmanager
def tap(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Run the block in eval mode and collect the outputs of the named layers.

    Hooks are removed and every module's own mode is restored, also after an error. Raises
    UnknownName when a layer is not in `model.named_modules()`.
    """
    modules = dict(model.named_modules())
    modes = {module: module.training for module in model.modules()}
    seen: dict[str, Tensor] = {}

    def keep(_module: nn.Module, _inputs: Any, output: Tensor, *, name: str) -> None:
        seen[name] = output

    hooks = []
    try:
        for name in layers:
            module = pick(modules, name, "layer")
            hooks.append(module.register_forward_hook(partial(keep, name=name)))
        model.eval()
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
