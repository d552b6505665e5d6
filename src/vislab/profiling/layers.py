"""A network layer by layer: what each call gives, holds and computes, and how far it sees.

The network runs once on an image without memory (torch's meta device); nothing is computed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vislab.explain.hooks import hooked
from vislab.profiling.flop_counter import flop_counter
from vislab.profiling.receptive_field import Shape, Sights, Size


@dataclass(frozen=True)
class Layer:
    """One call of a layer. `output` lacks the batch axis; None stands for what was never called."""

    name: str  # as in `named_modules`; "" is the network itself
    kind: str
    output: Shape | None
    parameters: int  # those not counted for a call before
    macs: int
    sees: Size
    again: bool = False  # called before


def layers(model: nn.Module, size: int) -> list[Layer]:
    """Return every call of a layer for one S×S image in eval mode, in the order they end in.

    A layer is a module that calls no other. One that does has a row too where it holds parameters
    or multiplies by itself, and so has what holds parameters and was never called: the rows add up
    to the network. Weights that two layers share count with the first. The model is left as it was
    and may lie on any device; nothing is computed.
    """
    held = (*model.named_parameters(), *model.named_buffers())
    weightless = {name: tensor.detach().to("meta") for name, tensor in held}
    kind = next((p.dtype for p in model.parameters()), torch.float32)
    image = torch.zeros(1, 3, size, size, device="meta", dtype=kind)
    sights, counter = Sights(image), flop_counter()
    watch = Watch(model, sights, counter)
    with hooked(model, []), watch.watching(), torch.no_grad(), sights, counter:
        functional_call(model, weightless, (image,))
    return [*watch.rows, *watch.never_called()]


@dataclass
class Call:
    """A module at work: the multiply-adds before it, those of what it calls, if it calls any."""

    before: int
    inside: int = 0
    calls: bool = False


class Watch:
    """Notes each call of a module of one network while that is at work."""

    def __init__(self, model: nn.Module, sights: "Sights", counter: FlopCounterMode) -> None:
        self.sights, self.counter = sights, counter
        self.names = {module: name for name, module in model.named_modules()}
        self.own = {m: [id(p) for p in m.parameters(recurse=False)] for m in self.names}
        self.uncounted = {id(p): p.numel() for p in model.parameters()}
        self.called: set[nn.Module] = set()
        self.open: list[Call] = []
        self.rows: list[Layer] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch during the block; no hook stays behind."""
        hooks = []
        try:
            for module in self.names:
                hooks.append(module.register_forward_pre_hook(self.begin))
                hooks.append(module.register_forward_hook(self.end))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def macs(self) -> int:
        """Return the multiply-adds up to now."""
        return int(self.counter.get_total_flops()) // 2

    def begin(self, _module: nn.Module, _inputs: Any) -> None:
        """Open a call."""
        if self.open:
            self.open[-1].calls = True
        self.open.append(Call(self.macs()))

    def end(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Close a call and write its row, if it has one."""
        call = self.open.pop()
        total = self.macs() - call.before
        if self.open:
            self.open[-1].inside += total
        parameters = self.take([module] if call.calls else module.modules())
        macs = total - call.inside
        if parameters or macs or not call.calls:
            given = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), None)
            shape = () if given is None else tuple(given.shape[1:])
            sees, again = self.sights.size(given), module in self.called
            name, kind = self.names[module], type(module).__name__
            self.rows.append(Layer(name, kind, shape, parameters, macs, sees, again))
        self.called.add(module)

    def take(self, modules: Iterable[nn.Module]) -> int:
        """Count the weights that these modules hold themselves, each once."""
        return sum(self.uncounted.pop(p, 0) for module in modules for p in self.own[module])

    def never_called(self) -> list[Layer]:
        """Return a row for what holds weights and was not called, the outermost module of each."""
        rows = []
        for module, name in self.names.items():
            if self.called.isdisjoint(module.modules()) and (n := self.take(module.modules())):
                rows.append(Layer(name, type(module).__name__, None, n, 0, None))
        return rows
