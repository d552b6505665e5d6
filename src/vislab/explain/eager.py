"""A network run as it is written: not as compiled code, and nothing of it computed twice.

Hooks and function modes see nothing inside of compiled code, and gradients that begin at a layer
end where a checkpoint forgets it. Both only save time or memory, so the answer stays the same.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils import checkpoint

FORGETS = (  # torch's names for what runs a checkpoint of the newer kind, which differ by version
    "_checkpoint_without_reentrant_generator",
    "_checkpoint_without_reentrant_generator_impl",
)


def plain(model: nn.Module) -> nn.Module:
    """Return the network inside of `torch.compile`, DataParallel and its distributed kin."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(inner, nn.Module):
            model = inner
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def scripted(model: nn.Module) -> bool:
    """Say whether the network is TorchScript, inside of which nothing can be seen."""
    return isinstance(plain(model), torch.jit.ScriptModule)


@contextmanager
def eagerly() -> Iterator[None]:
    """Run the block without compiled code, checkpoints and inference mode."""
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():  # its tensors have no gradients, ever
            stack.enter_context(torch.inference_mode(False))
        if "torch._dynamo" in sys.modules:  # else nothing can have been compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_replaced("CheckpointFunction", _Kept))
        for name in FORGETS:
            stack.enter_context(_replaced(name, _nothing_forgotten))
        yield


class _Kept:
    """What stands for a checkpoint: the function itself."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *arguments: Any) -> Any:
        return function(*arguments)


def _nothing_forgotten(*_: Any, **__: Any) -> Iterator[None]:
    yield  # once, where the function runs


@contextmanager
def _replaced(name: str, by: Any) -> Iterator[None]:
    kept = getattr(checkpoint, name, None)
    if kept is None:
        yield
        return
    setattr(checkpoint, name, by)
    try:
        yield
    finally:
        setattr(checkpoint, name, kept)
