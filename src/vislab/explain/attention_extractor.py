"""Catch every attention that a network computes, whoever wrote it, while it runs.

How it is computed, `attention_calls` knows. Fused kernels give no attention back; it is worked out
again from the queries and keys that they are called with: softmax(q kᵀ / √d) (Vaswani et al. 2017,
arXiv:1706.03762, equation 1). Where its tokens are in the image is found beforehand, by `unmixed`.
Attention among channels (XCiT, DaViT) is none among places and is left out.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import ShapeError, pick
from vislab.explain.asking import checked
from vislab.explain.attention_calls import AttentionCalls, Call, opened
from vislab.explain.hooks import hooked
from vislab.explain.unmixed import Among, layouts, values_of
from vislab.explain.windows import Layout

FUSE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean(dim=-3, keepdim=True),
    "max": lambda maps: maps.amax(dim=-3, keepdim=True),
    "min": lambda maps: maps.amin(dim=-3, keepdim=True),
}
NONE = "the network computes no attention that torch could see"
CHANNELS = "the network computes attention among channels only, none among places"


@dataclass(frozen=True)
class Layer:
    """The attention of one layer: which token takes how much from which."""

    name: str
    """The module that computed it, as in `model.named_modules()`."""
    maps: Float[Tensor, "n w heads t s"]
    """Each row sums to one. One window (w) where all tokens see each other; one head if fused."""
    layout: Layout | None
    """Where the tokens are in the image; None where that cannot be told."""

    @property
    def windowed(self) -> bool:
        """Return whether tokens see only those of their own window."""
        return self.maps.shape[1] > 1


@contextmanager
def watch(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    *,
    layers: Sequence[str] | None = None,
    fuse: str | None = None,
    in_graph: bool = False,
) -> Iterator[list[Layer]]:
    """Collect the attention of each layer, or of those named, that runs in the block.

    With `in_graph` the answer depends on the maps collected, so that gradients can be had; it may
    differ in the last digits then. Without, it does not change. nn.TransformerEncoderLayer takes
    its ordinary path in the block, not the one that is fused as a whole.

    Raises ShapeError when there is no attention, UnknownName when a name is of no such layer.
    """
    found = layouts(model, checked(images)[0])
    mode = Watch(len(images), found, layers, pick(FUSE, fuse, "fusion") if fuse else None, in_graph)
    with hooked(model, []), mode.watching(model):
        yield mode.found
    if not mode.names:
        raise ShapeError(CHANNELS if Among.CHANNELS in found.values() else NONE)
    for name in layers or ():
        pick(mode.names, name, "layer with attention")


class Watch(AttentionCalls):
    """Keep each attention in the block."""

    def __init__(
        self,
        count: int,
        layouts: dict[Call, Layout | Among | None],
        layers: Sequence[str] | None,
        fuse: Callable[[Tensor], Tensor] | None,
        in_graph: bool,
    ) -> None:
        super().__init__()
        self.count, self.layouts = count, layouts  # of images; where tokens are, call by call
        self.layers, self.fuse, self.in_graph = layers, fuse, in_graph
        self.found: list[Layer] = []
        self.names: dict[str, None] = {}  # of every layer with attention, wanted or not
        self.layout: Layout | None = None  # of the call that is being made

    def fused(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Tensor:
        """Work out what a fused kernel does not give back."""
        work = F.scaled_dot_product_attention
        if not self.wanted():
            return work(query, key, value, *rest, **named)
        if self.in_graph:
            maps = weights(query, key, value, *rest, **named)
            maps = self.keep(maps, must=True)
            if maps.ndim > 3 and maps.shape[-3] != value.shape[-3]:  # a value for several queries
                value = value.repeat_interleave(maps.shape[-3] // value.shape[-3], dim=-3)
            return maps.to(value.dtype) @ value
        answer = work(query, key, value, *rest, **named)
        self.keep(weights(query, key, value, *rest, **named), must=True, ours=True)
        return answer

    def multi_head(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Run the function with eyes in the places where it computes attention.

        Asking it a second time, for weights, costs a third of the layer.
        """
        heads = keywords["num_heads"] if "num_heads" in keywords else arguments[4]

        def softmax(scores: Tensor, dim: int) -> Tensor:
            maps = scores.softmax(dim)
            if self.wanted():
                return self.keep(maps.reshape(-1, heads, *maps.shape[1:]), must=True).flatten(0, 1)
            return maps

        body = opened(function, scaled_dot_product_attention=self.fused, softmax=softmax)
        return body(*arguments, **keywords)

    def softmax(self, maps: Tensor) -> Tensor:
        """Keep an attention that is computed openly."""
        return self.keep(maps) if self.wanted() else maps

    def wanted(self) -> bool:
        """Return whether the call that is being made is of a layer that was asked for."""
        call = self.call()
        layout = self.layouts.get(call)
        if isinstance(layout, Among):
            return False
        self.layout = layout
        self.names[call.name] = None
        return self.layers is None or call.name in self.layers

    def keep(self, maps: Tensor, *, must: bool = False, ours: bool = False) -> Tensor:
        """Keep an attention (…, T, S) with all its images, windows and heads; return it.

        What is not `ours` is the network's own, which it may write over, and is copied.
        In the graph it is what was kept, not what came, that the answer is to be computed from.
        """
        name, split = self.frames[-1].name, values_of(maps, self.count)
        if split is None:
            if must:
                raise ShapeError(
                    f"the attention of {name!r} has the shape {tuple(maps.shape)}, which is not "
                    f"that of {self.count} images"
                )
            return maps
        layout = self.layout
        if layout is not None and layout.cells.shape != (split.shape[1], split.shape[4]):
            layout = None
        if self.in_graph:
            self.found.append(Layer(name, split, layout))
            return split.reshape(maps.shape)
        own = split if ours or self.fuse is not None else split.clone()
        kept = self.fuse(own) if self.fuse is not None else own
        self.found.append(Layer(name, kept.detach().cpu(), layout))
        return maps


def weights(
    query: Tensor,
    key: Tensor,
    _: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "... t s"]:
    """Return softmax(q kᵀ · scale + mask), what scaled dot-product attention weighs values by."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    scores = (query * factor).float() @ key.float().mT
    if is_causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(ahead, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(dim=-1)
