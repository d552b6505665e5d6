"""Every call by which a network computes attention, whoever wrote it, and the module that made it.

Three ways are known. Fused kernels are called by `scaled_dot_product_attention`.
`nn.MultiheadAttention` calls such a kernel, or a softmax, out of a mode's sight. And a softmax
along the last of two equal axes is taken for an attention that is computed openly.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax)


@dataclass(frozen=True)
class Call:
    """A call that computes attention: the module that runs, and which of its calls it is."""

    name: str
    number: int


@dataclass(frozen=True)
class Frame:
    """A module that is running."""

    name: str
    given: Any


class AttentionCalls(TorchFunctionMode):
    """Look at each call of torch while a network runs."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.counts: Counter[str] = Counter()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator["AttentionCalls"]:
        """Look at what the network calls in the block; its hooks are removed after it."""
        with ExitStack() as hooks:
            for name, module in model.named_modules():
                # Of a softmax, what asked for it counts.
                if not isinstance(module, (nn.Softmax, ScriptModule)):
                    enter, leave = self._hooks(name)
                    hooks.callback(module.register_forward_pre_hook(enter).remove)
                    hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
            with self:
                yield self

    def _hooks(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def enter(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.frames.append(Frame(name, inputs[0] if inputs else None))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            self.frames.pop()
            self.left(name, output)

        return enter, leave

    def left(self, name: str, output: Any) -> None:
        """Look at what a module gave."""

    def call(self) -> Call:
        """Return the call that is being made; to be asked once for each."""
        name = self.frames[-1].name
        self.counts[name] += 1
        return Call(name, self.counts[name])

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        if function is F.scaled_dot_product_attention:
            return self.fused(*arguments, **keywords)
        if function is F.multi_head_attention_forward:
            return self.multi_head(function, *arguments, **keywords)
        if function in SOFTMAX and opens(function, *arguments, **keywords):
            return self.softmax(function(*arguments, **keywords))
        return self.other(function, *arguments, **keywords)

    def fused(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Tensor:
        """Answer a call of a fused kernel."""
        raise NotImplementedError

    def multi_head(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Answer a call of nn.MultiheadAttention's function."""
        raise NotImplementedError

    def softmax(self, maps: Tensor) -> Tensor:
        """Return what is to stand for an attention (…, T, T) that is computed openly."""
        raise NotImplementedError

    def other(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Answer any other call."""
        return function(*arguments, **keywords)


def opens(_: Any, scores: Tensor, dim: int | None = None, *__: Any, **___: Any) -> bool:
    """Return whether a softmax is that of an attention: along the last of two equal axes."""
    last = dim is not None and dim % scores.ndim == scores.ndim - 1
    return last and scores.ndim > 2 and scores.shape[-1] == scores.shape[-2] > 1


def opened(function: Callable[..., Any], **eyes: Any) -> FunctionType:
    """Return a function of torch that calls the ones given by name in place of its own.

    A mode sees nothing that `multi_head_attention_forward` calls.
    """
    assert isinstance(function, FunctionType), "torch has written it in another language"
    return FunctionType(
        function.__code__,
        {**function.__globals__, "has_torch_function": lambda _: False, **eyes},
        argdefs=function.__defaults__,
    )
