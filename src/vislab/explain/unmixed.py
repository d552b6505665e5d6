"""Run a network so that no place learns of another: tokens and cells stay where they came from.

It is shown `probes`, the first of which is an image without nudge. An attention among tokens is
taken away: each keeps its own value. Whatever else would tell one place of others is held at what
it is without a nudge: the second factor of a product of matrices, the keys and values of other
tokens, statistics over whole maps. Convolutions whose kernels overlap see the strongest tap of each
kernel alone, at its middle. What is left cuts the image into patches, moves them about and joins
them, in whatever way the network does that; so `places` can tell where each one came from, in any
layer, after any shift or window.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.explain.asking import answer, dtype_of
from vislab.explain.attention_calls import SOFTMAX, AttentionCalls, Call, opened
from vislab.explain.hooks import hooked
from vislab.explain.places import PROBES, Grid, fills, grid_of, positions, probes
from vislab.explain.windows import Layout

VARIETY = 0.5  # noise in what tokens ask for, of its own size
MEANS = (torch.mean, Tensor.mean, torch.sum, Tensor.sum, F.adaptive_avg_pool2d)
PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.einsum)
T = TypeVar("T")


class Among(Enum):
    """What an attention is among, where that is not places."""

    CHANNELS = "channels"


Values = Float[Tensor, "n w heads s d"]


class Unmixed(AttentionCalls):
    """Keep places from each other in the block."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count  # of the images that are asked about
        self.heads: int | None = None  # of torch's own function, which puts them beside windows
        self.eyes: deque[tuple[Call, Tensor]] = deque(maxlen=4)  # waiting for their values

    def valued(self, call: Call, value: Tensor, output: Tensor) -> None:
        """Look at what an attention weighs, and at what came of it."""

    def asked(self, call: Call, maps: Tensor) -> None:
        """Look at an open attention before it is known what it weighs."""

    def fused(self, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
        """Give each token its own value."""
        if query.ndim > 3 and query.shape[-3] != value.shape[-3]:  # a value for several queries
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], dim=-3)
        if query.shape[:-1] == value.shape[:-1]:
            output = value
        else:  # tokens ask others
            key, held = (self.varied(one) for one in (key, value))
            query, key = self.scaled(query), self.scaled(key)
            output = F.scaled_dot_product_attention(query, key, held, enable_gqa=True)
        self.valued(self.call(), value, output)
        return output

    def multi_head(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Run the function, seeing what it calls."""

        def softmax(scores: Tensor, dim: int) -> Tensor:
            if scores.shape[-1] == scores.shape[-2]:
                return self.softmax(scores)
            self.call()
            return scores.softmax(dim)

        self.heads = keywords["num_heads"] if "num_heads" in keywords else arguments[4]
        try:
            with self:
                body = opened(function, softmax=softmax, scaled_dot_product_attention=self.fused)
                return body(*arguments, **keywords)
        finally:
            self.heads = None

    def softmax(self, maps: Tensor) -> Tensor:
        """Let each token look at itself."""
        eye = torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device)
        own = eye.expand(maps.shape).clone()
        call = self.call()
        self.asked(call, own)
        self.eyes.append((call, own))
        return own

    def other(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Take overlap away from convolutions; find what an open attention weighs."""
        if function is F.conv2d:
            return _convolved(*arguments, **keywords)
        if function is F.group_norm:
            return self.group_norm(*arguments, **keywords)
        if function in (F.instance_norm, F.batch_norm) and _own_statistics(*arguments, **keywords):
            weight, bias = (keywords.get(name) for name in ("weight", "bias"))
            weight, bias = (*arguments[3:5], weight, bias)[:2]
            return self.group_norm(arguments[0], arguments[0].shape[1], weight, bias)
        if function in PRODUCTS:
            return self.product(function, *arguments, **keywords)
        if function in SOFTMAX and arguments:  # tokens ask others
            arguments = (self.scaled(arguments[0]), *arguments[1:])
        output = function(*arguments, **keywords)
        if function not in MEANS or self.count == 1:
            return output
        overall = keywords.get("keepdim") or _is_of_image(arguments, output)
        return self.held(output) if overall else output

    def product(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Look whether a product is of an attention; let no row learn of others by any other."""
        factors = [one for one in arguments if isinstance(one, Tensor)]
        if len(factors) != 2:
            return function(*arguments, **keywords)
        for call, eye in self.eyes:
            same = [one.data_ptr() == eye.data_ptr() for one in factors]
            if sum(same) == 1:
                output = function(*arguments, **keywords)
                value = factors[same.index(False)]
                if self.heads is not None and value.ndim == 3:
                    value = value.reshape(-1, self.heads, *value.shape[1:])
                self.valued(call, value, output)
                return output
        if self.moves(factors[0]):
            held = self.varied(factors[1])
            arguments = tuple(held if one is factors[1] else one for one in arguments)
        return function(*arguments, **keywords)

    def group_norm(
        self, maps: Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
    ) -> Tensor:
        """Normalise by what mean and variance are without a nudge."""
        split = maps.reshape(len(maps), groups, -1)
        variance, mean = torch.var_mean(split, dim=2, keepdim=True, correction=0)
        scaled = (split - self.held(mean)) * (self.held(variance) + eps).rsqrt()
        shape = (1, -1, *(1,) * (maps.ndim - 2))
        scaled = scaled.reshape(maps.shape)
        scaled = scaled if weight is None else scaled * weight.view(shape)
        return scaled if bias is None else scaled + bias.view(shape)

    def held(self, values: Tensor) -> Tensor:
        """Return values as they are for the image without nudge, for all images."""
        if values.ndim == 0 or len(values) % self.count:
            return values.detach()
        first = values.detach()[: len(values) // self.count]
        return first.repeat(self.count, *(1,) * (values.ndim - 1))

    def varied(self, values: Tensor) -> Tensor:
        """Return the same with noise: tokens that are asked must not answer all alike."""
        held = self.held(values)
        if held.ndim == 0 or len(held) % self.count:
            return held
        draw = torch.Generator().manual_seed(0)
        shape = (len(held) // self.count, *held.shape[1:])
        noise = torch.randn(shape, generator=draw).to(held) * held.square().mean().sqrt()
        return held + VARIETY * noise.repeat(self.count, *(1,) * (held.ndim - 1))

    def scaled(self, values: Tensor) -> Tensor:
        """Return values of size 1: an even attention, as of untrained weights, tells nothing."""
        finite = self.held(values)
        size = finite.where(finite.isfinite(), 0.0).square().mean().sqrt()
        return values / size.where(size > 0, 1.0)

    def moves(self, values: Tensor) -> bool:
        """Return whether values depend on the image."""
        if self.count == 1:
            return values.requires_grad
        if values.ndim == 0 or len(values) % self.count:
            return False
        return not torch.equal(values, self.held(values))


class Placing(Unmixed):
    """Find where the outputs of layers are, and what attention is among."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__(PROBES)
        self.layers = set(layers)
        self.found: dict[str, tuple[str, Grid]] = {}  # a layout and its grid
        self.streams: dict[tuple[int, ...], tuple[str, Grid]] = {}
        self.layouts: dict[Call, Layout | Among | None] = {}

    def left(self, name: str, output: Any) -> None:
        """Find where an output is. A layer used again counts where it was used last."""
        if name in self.layers and isinstance(output, Tensor):
            self.found.pop(name, None)
            if (found := self.place(output)) is not None:
                self.found[name] = found

    def place(self, output: Tensor) -> tuple[str, Grid] | None:
        """Return the layout of an output and its grid, None where it has no places."""
        if output.ndim == 4 and len(output) == PROBES:
            return _of_map(output)
        if output.ndim != 3:
            return None
        for layout, axis in (("tokens", 0), ("sequence", 1)):
            if output.shape[axis] == PROBES:
                where = positions(output.movedim(axis, 0))
                grid = grid_of(where)
                if grid is not None:
                    # Tokens keep their order in layers that mix them in a way unknown here.
                    self.streams[output.shape] = layout, grid
                    return layout, grid
                if bool(where.live.any()):
                    return self.streams.get(output.shape)
        return None

    def asked(self, call: Call, maps: Tensor) -> None:
        """Take the tokens that the module was given, if they are as many."""
        given = self.frames[-1].given
        self.layouts[call] = None
        if not isinstance(given, Tensor) or given.ndim != 3 or len(given) != PROBES:
            return
        if given.shape[1] == maps.shape[-1] and (found := self.place(given)) is not None:
            grid = found[1]
            self.layouts[call] = Layout(grid.rows, grid.columns, grid.cells[None])

    def valued(self, call: Call, value: Tensor, output: Tensor) -> None:
        """Find where the tokens are that an attention weighs."""
        values = values_of(value, PROBES)
        if values is None:
            self.layouts.setdefault(call, None)
            return
        _, windows, _, tokens, _ = values.shape
        grid = grid_of(positions(values.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)))
        if grid is not None:
            cells = grid.cells.reshape(windows, tokens)
            self.layouts[call] = Layout(grid.rows, grid.columns, cells)
        elif grid_of(positions(values.permute(0, 4, 1, 2, 3).flatten(2))) is not None:
            self.layouts[call] = Among.CHANNELS  # it is the values' other axis that has places
        else:
            self.layouts.setdefault(call, None)


class Reading(Unmixed):
    """Keep what comes of each attention, to ask later which tokens the answer reads."""

    def __init__(self) -> None:
        super().__init__(1)
        self.outputs: dict[Call, Tensor] = {}

    def valued(self, call: Call, value: Tensor, output: Tensor) -> None:
        """Keep it."""
        if output.requires_grad:
            self.outputs[call] = output


def remembered(find: Callable[..., T]) -> Callable[..., T]:
    """Keep what was found of a network for images of one size: where things are stays the same."""
    known: WeakKeyDictionary[nn.Module, dict[Any, T]] = WeakKeyDictionary()

    @wraps(find)
    def found(model: nn.Module, image: Tensor, *layers: Sequence[str]) -> T:
        modules = hash(tuple((name, type(one)) for name, one in model.named_modules()))
        key = (modules, *image.shape, dtype_of(model, image), *map(tuple, layers))
        mine = known.setdefault(model, {})
        if key not in mine:
            mine[key] = find(model, image, *layers)
        return mine[key]

    return found


@remembered
def placed(
    model: nn.Module, image: Float[Tensor, "3 h w"], layers: Sequence[str]
) -> dict[str, tuple[str, Grid]]:
    """Return layout and grid of those of the layers whose outputs lie as the image does.

    A layout is "nchw", "nhwc", "tokens" (N, T, C) or "sequence" (T, N, C).
    """
    mode = Placing(layers)
    with hooked(model, []), torch.no_grad(), mode.watching(model):
        answer(model, probes(image, dtype_of(model, image)))
    return mode.found


@remembered
def layouts(model: nn.Module, image: Float[Tensor, "3 h w"]) -> dict[Call, Layout | Among | None]:
    """Return for each call that computes attention where the tokens are that are weighed."""
    mode = Placing([])
    with hooked(model, []), torch.no_grad(), mode.watching(model):
        answer(model, probes(image, dtype_of(model, image)))
    found = mode.layouts
    extra = {
        call: layout
        for call, layout in found.items()
        if isinstance(layout, Layout) and bool((layout.cells < 0).any()) and len(layout.cells) == 1
    }
    if extra:
        reads = _read(model, image)
        for call, layout in extra.items():
            found[call] = layout.asked_by(reads.get(call))
    return found


def _read(model: nn.Module, image: Tensor) -> dict[Call, Tensor]:
    """Return how much the answer depends on each token that comes out of an attention."""
    mode = Reading()
    with hooked(model, []), torch.enable_grad(), mode.watching(model):
        given = answer(model, probes(image, dtype_of(model, image))[:1].requires_grad_())
        given = getattr(given, "logits", given)  # as Hugging Face has them
        if not isinstance(given, Tensor) or not given.requires_grad or not mode.outputs:
            return {}
        draw = torch.Generator().manual_seed(1)
        mixed = (given * torch.randn(given.shape, generator=draw).to(given)).sum()
        slopes = torch.autograd.grad(mixed, list(mode.outputs.values()), allow_unused=True)
    reads = {}
    for call, slope in zip(mode.outputs, slopes, strict=True):
        values = None if slope is None else values_of(slope, 1)
        if values is not None and values.shape[1] == 1:
            reads[call] = values.square().sum(dim=(0, 1, 2, 4)).cpu()
    return reads


def values_of(value: Tensor, count: int) -> Values | None:
    """Return what attention weighs with its images, windows and heads apart."""
    if len(value) % count == 0 and value.ndim == 3:  # heads in the first axis, or none
        value = value.reshape(count, 1, -1, *value.shape[1:])
    elif len(value) % count == 0 and value.ndim == 4:
        value = value.reshape(count, -1, *value.shape[1:])
    return value if value.ndim == 5 and len(value) == count else None


def _of_map(output: Tensor) -> tuple[str, Grid] | None:
    for layout, maps in (("nchw", output.permute(0, 2, 3, 1)), ("nhwc", output)):
        rows, columns = maps.shape[1:3]
        if fills(positions(maps.flatten(1, 2)), rows, columns):
            return layout, Grid(rows, columns, torch.arange(rows * columns))
    return None


def _own_statistics(_: Tensor, mean: Tensor | None = None, *__: Any, **keywords: Any) -> bool:
    """Return whether a normalisation has no running averages."""
    return mean is None and keywords.get("running_mean") is None


def _is_of_image(arguments: tuple[Any, ...], output: Tensor) -> bool:
    """Return whether an output is one number for each channel of maps (N, C, H, W)."""
    maps = arguments[0] if arguments else None
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        return False
    return output.shape[:2] == maps.shape[:2] and output.numel() == len(maps) * maps.shape[1]


def _convolved(images: Tensor, weight: Tensor, *rest: Any, **named: Any) -> Tensor:
    """Convolve with the strongest tap of each kernel, in its middle, if kernels overlap."""
    strides = rest[1] if len(rest) > 1 else named.get("stride", 1)
    down, across = (strides, strides) if isinstance(strides, int) else (strides * 2)[:2]
    high, wide = weight.shape[2:]
    if high > down or wide > across:
        taps = weight.flatten(2)
        strongest = taps.gather(2, taps.abs().argmax(dim=2, keepdim=True))[..., 0]
        weight = torch.zeros_like(weight)
        weight[..., high // 2, wide // 2] = strongest
    return F.conv2d(images, weight, *rest, **named)
