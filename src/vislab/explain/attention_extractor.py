"""Catch every attention that a network computes, whoever wrote it, while it runs.

Three ways are known. Fused kernels give no attention back; it is worked out again from the queries
and keys that they are called with: softmax(q kᵀ / √d) (Vaswani et al. 2017, arXiv:1706.03762,
equation 1). `nn.MultiheadAttention` calls such a kernel out of a mode's sight. And a softmax along
the last of two equal axes is taken for an attention that is computed openly.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vislab.errors import ShapeError, pick
from vislab.explain.hooks import hooked
from vislab.explain.windows import Layout, Size, layout_of

FUSE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean(dim=-3, keepdim=True),
    "max": lambda maps: maps.amax(dim=-3, keepdim=True),
    "min": lambda maps: maps.amin(dim=-3, keepdim=True),
}
NONE = "the network computes no attention that torch could see"
SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax)


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


@dataclass
class Frame:
    """A module that is running."""

    name: str
    kind: str
    sizes: list[Size]  # of the map that it was given
    shift: Size = (0, 0)  # how far it has rolled a map so far
    rolled: Size | None = None


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
    mode = Watch(images, layers, pick(FUSE, fuse, "fusion") if fuse else None, in_graph)
    with hooked(model, []), ExitStack() as hooks:
        for name, module in model.named_modules():
            if not isinstance(module, nn.Softmax):  # what asked for it counts
                enter, leave = mode.hooks(name, module)
                hooks.callback(module.register_forward_pre_hook(enter).remove)
                hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        with mode:
            yield mode.found
    if not mode.names:
        raise ShapeError(NONE)
    for name in layers or ():
        pick(mode.names, name, "layer with attention")


class Watch(TorchFunctionMode):
    """Look at each call of torch in the block."""

    def __init__(
        self,
        images: Tensor,
        layers: Sequence[str] | None,
        fuse: Callable[[Tensor], Tensor] | None,
        in_graph: bool,
    ) -> None:
        super().__init__()
        self.count, self.ratio = len(images), images.shape[2] / images.shape[3]
        self.layers, self.fuse, self.in_graph = layers, fuse, in_graph
        self.found: list[Layer] = []
        self.names: dict[str, None] = {}  # of every layer with attention, wanted or not
        self.frames: list[Frame] = []
        self.patches: Size | None = None  # of the last convolution's map

    def hooks(self, name: str, module: nn.Module) -> tuple[Callable[..., None], ...]:
        """Return what to do before and after a module."""

        def enter(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            given = inputs[0] if inputs else None
            self.frames.append(Frame(name, type(module).__name__, self.sizes(given)))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            self.frames.pop()
            if isinstance(module, nn.Conv2d) and isinstance(output, Tensor):
                self.patches = (output.shape[-2], output.shape[-1])

        return enter, leave

    def sizes(self, given: Any) -> list[Size]:
        """Return rows and columns of a map (N, C, H, W) or (N, H, W, C) of the image."""
        if not isinstance(given, Tensor) or given.ndim != 4 or len(given) != self.count:
            return []
        sizes = [(given.shape[2], given.shape[3]), (given.shape[1], given.shape[2])]
        slack = max(1.0, self.ratio)
        return [(h, w) for h, w in sizes if abs(h - w * self.ratio) <= slack]

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
        if function in SOFTMAX:
            return self.softmax(function(*arguments, **keywords), *arguments, **keywords)
        if function in (torch.roll, Tensor.roll):
            self.roll(*arguments, **keywords)
        return function(*arguments, **keywords)

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

        Torch looks through no mode inside of it, and asking it a second time, for weights, costs
        a third of the layer.
        """
        assert isinstance(function, FunctionType), "torch has written it in another language"
        heads = keywords["num_heads"] if "num_heads" in keywords else arguments[4]

        def softmax(scores: Tensor, dim: int) -> Tensor:
            maps = scores.softmax(dim)
            if self.wanted():
                return self.keep(maps.reshape(-1, heads, *maps.shape[1:]), must=True).flatten(0, 1)
            return maps

        eyes = {
            "has_torch_function": lambda _: False,  # it would come here again
            "scaled_dot_product_attention": self.fused,
            "softmax": softmax,
        }
        body = FunctionType(
            function.__code__, {**function.__globals__, **eyes}, argdefs=function.__defaults__
        )
        return body(*arguments, **keywords)

    def softmax(self, maps: Tensor, _: Tensor, dim: int | None = None, *__: Any, **___: Any) -> Any:
        """Look whether a softmax is that of an attention."""
        last = dim is not None and dim % maps.ndim == maps.ndim - 1
        if last and maps.ndim > 2 and maps.shape[-1] == maps.shape[-2] > 1 and self.wanted():
            return self.keep(maps)
        return maps

    def roll(self, given: Tensor, shifts: Any, dims: Any = None) -> None:
        """Note how far a map has been rolled in the module that runs."""
        if self.frames and isinstance(dims, tuple) and len(dims) == 2 and given.ndim == 4:
            (first, down), (second, across) = sorted(zip(dims, shifts, strict=True))
            frame = self.frames[-1]
            frame.shift = (frame.shift[0] + down, frame.shift[1] + across)
            frame.rolled = (given.shape[first], given.shape[second])

    def wanted(self) -> bool:
        """Return whether the attention of the module that runs was asked for."""
        name = self.frames[-1].name
        self.names[name] = None
        return self.layers is None or name in self.layers

    def keep(self, maps: Tensor, *, must: bool = False, ours: bool = False) -> Tensor:
        """Keep an attention (…, T, S) with all its images, windows and heads; return it.

        What is not `ours` is the network's own, which it may write over, and is copied.
        In the graph it is what was kept, not what came, that the answer is to be computed from.
        """
        given, count, name = maps, self.count, self.frames[-1].name
        if len(maps) % count == 0 and maps.ndim == 3:  # heads in the first axis, or none
            maps = maps.reshape(count, 1, -1, *maps.shape[1:])
        elif len(maps) % count == 0 and maps.ndim == 4:
            maps = maps.reshape(count, -1, *maps.shape[1:])
        if len(maps) != count or maps.ndim != 5:
            if must:
                raise ShapeError(
                    f"the attention of {name!r} has the shape {tuple(maps.shape)}, which is not "
                    f"that of {count} images"
                )
            return given
        layout = self.layout(maps.shape[1], maps.shape[4])
        if self.in_graph:
            self.found.append(Layer(name, maps, layout))
            return maps.reshape(given.shape)
        maps = maps if ours or self.fuse is not None else maps.clone()
        kept = self.fuse(maps) if self.fuse is not None else maps
        self.found.append(Layer(name, kept.detach().cpu(), layout))
        return given

    def layout(self, windows: int, tokens: int) -> Layout | None:
        """Return where tokens are, as far as the modules that run tell."""
        shifted = next((f for f in reversed(self.frames) if f.shift != (0, 0)), self.frames[-1])
        return layout_of(
            windows, tokens, self.ratio,
            patches=self.patches,
            sizes=[size for frame in reversed(self.frames) for size in frame.sizes],
            strided="grid" in self.frames[-1].name.lower()
            or any("mobilevit" in frame.kind.lower() for frame in self.frames),
            shift=shifted.shift,
            rolled=shifted.rolled if shifted.shift != (0, 0) else None,
        )  # fmt: skip


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
