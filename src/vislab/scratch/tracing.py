"""What every layer was given and gave back, in one pass through a network.

    with trace() as calls:
        loss, grads = net.loss(X, y)
    for call in calls:
        print(call.name, call.out.std(), call.dout.std())

The layers stay as they are: while the block lasts, their `forward` and `backward` are listened to.
With `plant` one of them is made to give a wrong gradient, as a lesson in finding it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vislab.errors import OptionError, pick
from vislab.scratch.attention_lstm import AttentionLSTM
from vislab.scratch.batch_norm import BatchNorm, SpatialBatchNorm
from vislab.scratch.conv import Conv
from vislab.scratch.dropout import Dropout
from vislab.scratch.layer_norm import GroupNorm, LayerNorm
from vislab.scratch.leaky_relu import LeakyReLU
from vislab.scratch.linear import Linear
from vislab.scratch.lstm import LSTM
from vislab.scratch.max_pool import MaxPool
from vislab.scratch.multi_head_attention import MultiHeadAttention
from vislab.scratch.relu import ReLU
from vislab.scratch.rnn import RNN
from vislab.scratch.temporal_linear import TemporalLinear
from vislab.scratch.word_embedding import WordEmbedding

LAYERS: dict[str, Any] = {
    layer.__name__: layer
    for layer in (
        AttentionLSTM, BatchNorm, Conv, Dropout, GroupNorm, LayerNorm, LeakyReLU, Linear, LSTM,
        MaxPool, MultiHeadAttention, ReLU, RNN, SpatialBatchNorm, TemporalLinear, WordEmbedding,
    )
}  # fmt: skip


def _wrong_order(gradient: Tensor) -> Tensor:
    """Return the numbers of the gradient as if its first two axes had been swapped."""
    if gradient.ndim < 2:
        return gradient.flip(0)
    return gradient.transpose(0, 1).reshape(gradient.shape)


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": torch.neg,
    "factor": lambda gradient: gradient / 2,
    "transpose": _wrong_order,
}


def _planted(found: Any, fault: str | None) -> tuple[Tensor, ...]:
    """Return a layer's gradients as a tuple, the first two of them spoilt by the fault.

    Those are what flows on, and the weights: one of them is seen wherever the layer stands.
    """
    several = found if isinstance(found, tuple) else (found,)
    if fault is None:
        return several
    # The first layer's dx is left out, and empty.
    return tuple(
        FAULTS[fault](g) if turn < 2 and g.numel() else g for turn, g in enumerate(several)
    )


@dataclass(eq=False)
class Call:
    """One layer's part in one pass. `dout` and `gradients` are None until it went backward."""

    layer: str
    place: int  # among the layers of its kind, from 1 at the input
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    out: Tensor
    cache: Any
    dout: Tensor | None = None
    gradients: tuple[Tensor, ...] | None = None
    drawn_from: Tensor | None = field(default=None, repr=False)  # the generator's state before
    fault: str | None = None

    @property
    def name(self) -> str:
        """The layer's kind and its place, such as "Conv 2"."""
        return f"{self.layer} {self.place}"

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Tensor, Any]:
        """Return what the layer's forward gives for other inputs, all else as it was."""
        asked = self.differentiated
        fresh = [v if place in asked else self._fresh(v) for place, v in enumerate(inputs)]
        options = {name: self._fresh(value) for name, value in self.options.items()}
        found: tuple[Tensor, Any] = LAYERS[self.layer].forward(*fresh, **options)
        return found

    def backward(self, dout: Tensor, cache: Any) -> tuple[Tensor, ...]:
        """Return what the layer's backward gives, with the planted fault if there is one."""
        return _planted(LAYERS[self.layer].backward(dout, cache), self.fault)

    def _fresh(self, value: Any) -> Any:
        """Return a copy of what a forward pass changes: running averages, generators."""
        if isinstance(value, torch.Generator):
            assert self.drawn_from is not None, "a layer that draws has kept what it drew from"
            return torch.Generator().set_state(self.drawn_from)
        return value.clone() if isinstance(value, Tensor) else value

    @property
    def differentiated(self) -> tuple[int, ...]:
        """The places among `inputs` that the gradients belong to, in their order."""
        floats = [
            place
            for place, value in enumerate(self.inputs)
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        return tuple(floats[: len(self.gradients or ())])


@contextmanager
def trace(plant: tuple[str, int, str] | None = None) -> Iterator[list[Call]]:
    """Yield a list that fills with the calls of layers, in the order of their forward passes.

    A sandwich appears as its parts; a layer made of layers (TemporalLinear) as itself. `plant`
    names a layer, its place and a fault: "sign", "factor" (a missing 2) or "transpose".
    """
    calls: list[Call] = []
    by_cache: dict[tuple[str, int], Call] = {}
    inside = [0]
    originals = {name: (layer.forward, layer.backward) for name, layer in LAYERS.items()}
    if plant is not None:
        pick(LAYERS, plant[0], "layer")
        pick(FAULTS, plant[2], "fault")

    def listen(name: str) -> None:
        forward, backward = originals[name]

        def heard_forward(*inputs: Any, **options: Any) -> Any:
            if inside[0]:
                return forward(*inputs, **options)
            drawn_from = next(
                (
                    value.get_state()
                    for value in (*inputs, *options.values())
                    if isinstance(value, torch.Generator)
                ),
                None,
            )
            inside[0] += 1
            try:
                out, cache = forward(*inputs, **options)
            finally:
                inside[0] -= 1
            place = 1 + sum(call.layer == name for call in calls)
            call = Call(name, place, inputs, options, out, cache, drawn_from=drawn_from)
            calls.append(call)
            if cache is not None:
                by_cache[name, id(cache)] = call
            return out, cache

        def heard_backward(dout: Tensor, cache: Any, **options: Any) -> Any:
            if inside[0]:
                return backward(dout, cache, **options)
            inside[0] += 1
            try:
                found = backward(dout, cache, **options)
            finally:
                inside[0] -= 1
            call = by_cache.get((name, id(cache)))
            if call is None:
                return found
            if plant is not None and (name, call.place) == plant[:2]:
                call.fault = plant[2]
            call.dout, call.gradients = dout, _planted(found, call.fault)
            return call.gradients if isinstance(found, tuple) else call.gradients[0]

        LAYERS[name].forward = staticmethod(heard_forward)
        LAYERS[name].backward = staticmethod(heard_backward)

    try:
        for name in LAYERS:
            listen(name)
        yield calls
    finally:
        for name, (forward, backward) in originals.items():
            LAYERS[name].forward = staticmethod(forward)
            LAYERS[name].backward = staticmethod(backward)


def parse_place(text: str) -> tuple[str, int]:
    """Read "Conv" or "Conv:2" as a layer and its place, the first where none is given."""
    name, colon, place = text.partition(":")
    pick(LAYERS, name, "layer")
    if colon and not (place.isdecimal() and int(place) > 0):
        raise OptionError(f"{text!r} names no layer: after the colon stands its place, from 1 on")
    return name, int(place) if colon else 1
