"""Images laid out channels last, the fastest, unless a network does not take them so.

A network that flattens with `view` needs the channels first, as it was written and tried.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

WORDS = ("view size is not compatible", "is not contiguous", "stride")  # of torch's complaints

T = TypeVar("T")


def in_its_layout(network: nn.Module, work: Callable[[], T]) -> T:
    """Return what a work with a network gives, done again where it does not take channels last."""
    try:
        return work()
    except RuntimeError as error:
        if not _complains(error) or _contiguous in network._forward_pre_hooks.values():
            raise
    _give_up(network)
    return work()


def settle_layout(network: nn.Module, size: int, device: torch.device) -> None:
    """Find out by two S×S images whether a network takes channels last; if not, see to it.

    Then whatever it is given is laid out anew before it starts, wherever it is asked from now on.
    The network's mode and torch's random numbers are left as they were, and one in which no module
    calls `view` is not asked.
    """
    views = any("view" in _words(module) for module in network.modules())
    if not views or _contiguous in network._forward_pre_hooks.values():
        return
    images = torch.zeros(2, 3, size, size, device=device)
    if _complaint(network, images.contiguous(memory_format=torch.channels_last)):
        _give_up(network)


def _words(module: nn.Module) -> tuple[str, ...]:
    """Return the names that a module's own forward uses."""
    code = getattr(type(module).forward, "__code__", None)
    return getattr(code, "co_names", ())


def _give_up(network: nn.Module) -> None:
    network.to(memory_format=torch.contiguous_format)
    network.register_forward_pre_hook(_contiguous)


def _complains(error: RuntimeError) -> bool:
    return any(word in str(error) for word in WORDS)


def _complaint(network: nn.Module, images: Tensor) -> bool:
    modes = {module: module.training for module in network.modules()}
    devices = [images.device] if images.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            network.eval()
            network(images)
    except RuntimeError as error:
        return _complains(error)
    except Exception:  # it takes something else altogether, and whoever asks it knows
        return False
    finally:
        for module, mode in modes.items():
            module.training = mode
    return False


def _contiguous(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.contiguous() if isinstance(one, Tensor) else one for one in inputs)
