"""How many pixels each cell of a layer's output depends on.

The receptive field is that of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional
Neural Networks" (Distill 2019, doi:10.23915/distill.00021): the first and the last pixel that the
first cell of a map depends on, and the step in pixels to the next cell. A window of k cells,
dilation d, stride s and padding p gives

    start ← start - p · step      end ← end + ((k - 1) d - p) · step      step ← step · s

and where branches meet, the earliest start and the latest end hold. Differs: no kind of layer is
known here. The network runs once on an image without memory (torch's meta device) and every
operation on a tensor is followed, so that a sum in a residual block, a 1×1 convolution written as a
linear layer or a gate computed from the whole map counts as what it is.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Size = tuple[int, int] | Literal["all"] | None  # rows and columns of pixels; None where unknown
Shape = tuple[int, ...]


class Span(NamedTuple):
    """Along one side: the first and last pixel that the first cell sees, the step to the next."""

    start: int
    end: int
    step: int

    @property
    def size(self) -> int:
        """How many pixels it sees."""
        return self.end - self.start + 1

    def slid(self, kernel: int, stride: int, padding: int, dilation: int) -> "Span":
        """Return what the first place of a sliding window sees."""
        end = self.end + ((kernel - 1) * dilation - padding) * self.step
        return Span(self.start - padding * self.step, end, self.step * stride)

    def cut(self, first: int, every: int = 1) -> "Span":
        """Return what is seen where only every so many cells are left, from a first one on."""
        move = first * self.step
        return Span(self.start + move, self.end + move, self.step * every)

    def joined(self, other: "Span") -> "Span":
        """Return what two of the same step see together."""
        return Span(min(self.start, other.start), max(self.end, other.end), self.step)


# An axis of a tensor as factors of its length, slowest first: 56 rows cut into windows of 7 are
# ("h", 8) on one axis and ("h", 7) on another. Letters: h rows, w columns, * places of no order,
# and . for what is no place.
Axis = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class View:
    """What each cell of a tensor sees, and which of its axes are places in the image."""

    down: Span
    across: Span
    axes: tuple[Axis, ...]
    cells: int  # places in the map


Sight = View | Literal["all", "unknown"]


class Sights(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows what tensors see of an image through every operation, while it is entered.

    What comes of an operation that is not known below is of unknown sight.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        pixel = Span(0, 0, 1)
        # The tensors are kept too: another could get the id of one that is gone.
        self.known: dict[int, tuple[Tensor, Sight]] = {}
        self.known[id(image)] = (image, map_of(pixel, pixel, tuple(image.shape)))

    def of(self, thing: Any) -> Sight | None:
        """Return what a tensor sees; None where it depends on no image or is no tensor."""
        return self.known[id(thing)][1] if id(thing) in self.known else None

    def size(self, thing: Any) -> Size:
        """Return how many rows and columns of pixels a cell of a tensor sees."""
        sight = self.of(thing)
        if isinstance(sight, View):
            return (sight.down.size, sight.across.size)
        return "all" if sight == "all" else None

    def axes(self, tensor: Tensor) -> tuple[Axis, ...]:
        """Return a tensor's axes; those of one that depends on no image are no places."""
        sight = self.of(tensor)
        return sight.axes if isinstance(sight, View) else tuple(axis(n) for n in tensor.shape)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do the operation, then note what its results see."""
        out = func(*args, **(kwargs or {}))
        met = meeting([self.of(leaf) for leaf in tree_leaves((args, kwargs))])
        if met is None or func.overloadpacket in CONSTANTS:
            return out
        for result in tree_leaves(out):
            if isinstance(result, Tensor):
                sight = self.followed(func, args, met, tuple(result.shape))
                self.known[id(result)] = (result, sight)
                if func._schema.is_mutable and result._base is not None:  # a part is written over
                    self.known[id(result._base)] = (result._base, "unknown")
        return out

    def followed(self, func: Any, args: Sequence[Any], met: Sight, shape: Shape) -> Sight:
        """Return what a result of this shape sees; the arguments together see `met`."""
        packet = func.overloadpacket
        if not isinstance(met, View):
            return met
        if packet in EACH_ALONE or torch.Tag.pointwise in func.tags:
            operands = [self.axes(leaf) for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
            return replace(met, axes=broadcast(operands, shape))
        if packet in RULES:
            return RULES[packet](met, shape, *args[1:])
        if packet is aten.convolution:
            dynamic = any(self.of(weight) is not None for weight in args[1:3])
            window = (args[1].shape[2:], *args[3:6])
            return "unknown" if dynamic or args[6] else slid(met, shape, *window)
        if packet in PRODUCTS:
            left, right = [self.axes(arg) for arg in args if isinstance(arg, Tensor)][-2:]
            return product(met, left, right)
        if packet is aten.cat:
            return catenated(met, shape, [self.axes(part) for part in args[0]], *args[1:])
        return "unknown"


def meeting(sights: Sequence[Sight | None]) -> Sight | None:
    """Return what is seen by what depends on all of these; None where none sees."""
    if "all" in sights:
        return "all"
    views = [sight for sight in sights if isinstance(sight, View)]
    if "unknown" in sights or len({(view.down.step, view.across.step) for view in views}) > 1:
        return "unknown"
    if not views:
        return None
    met = views[0]
    for view in views[1:]:
        down, across = met.down.joined(view.down), met.across.joined(view.across)
        met = replace(met, down=down, across=across, cells=max(met.cells, view.cells))
    return met


def axis(length: int, letter: str = ".") -> Axis:
    """Return an axis of one factor; one of length 1 has none."""
    return () if length == 1 else ((letter, length),)


def length(of: Axis, *, places: bool = False) -> int:
    """Return how many entries an axis has, or how many places of the map."""
    return math.prod(factor for letter, factor in of if not (places and letter == "."))


def letters(of: Axis) -> str:
    """Return what an axis runs over, each letter once."""
    return "".join(sorted({letter for letter, _ in of}))


def map_of(down: Span, across: Span, shape: Shape) -> View:
    """Return the view of a map (N, C, H, W)."""
    *others, high, wide = shape
    axes = (*(axis(n) for n in others), axis(high, "h"), axis(wide, "w"))
    return View(down, across, axes, high * wide)


def is_map(view: View) -> bool:
    """Return whether rows and columns are the last two axes, whole and nowhere else."""
    if len(view.axes) != 4:
        return False
    *others, high, wide = map(letters, view.axes)
    return set(others) <= {"", "."} and high in ("", "h") and wide in ("", "w")


def slid(
    view: View,
    shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    *_: Any,
) -> Sight:
    """Follow a window that slides over a map."""
    if not is_map(view):
        return "unknown"
    given = [tuple(one) for one in (kernel, stride or kernel, padding, dilation)]
    down, across = zip(*(one if len(one) == 2 else one * 2 for one in given), strict=True)
    return map_of(view.down.slid(*down), view.across.slid(*across), shape)


def pooled(
    view: View,
    shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    *_: Any,
) -> Sight:
    """Follow a mean over windows, which takes no dilation."""
    return slid(view, shape, kernel, stride, padding)


def adaptive(view: View, shape: Shape, *_: Any) -> Sight:
    """Follow a pooling to a given size: one cell sees all, even windows slide."""
    if not is_map(view):
        return "unknown"
    before, after = [length(one) for one in view.axes[-2:]], shape[-2:]
    if after == (1, 1):
        return "all"
    even = all(b % a == 0 for b, a in zip(before, after, strict=True))
    kernel = [b // a for b, a in zip(before, after, strict=True)]
    return slid(view, shape, kernel) if even else "unknown"


def cut(
    view: View,
    shape: Shape,
    at: int = 0,
    start: int | None = None,
    _end: Any = None,
    every: int = 1,
) -> Sight:
    """Follow a slice along one axis."""
    first, _, _ = slice(start, None).indices(length(view.axes[at]))
    return moved(view, shape, at % len(shape), first, every)


def padded(view: View, shape: Shape, amounts: Sequence[int], *_: Any) -> Sight:
    """Follow padding by a constant, given from the last axis on as (before, behind)."""
    sight: Sight = view
    for place, before in enumerate(amounts[::2], start=1):
        if isinstance(sight, View):
            sight = moved(sight, shape, len(shape) - place, -before, 1)
    return sight


def moved(view: View, shape: Shape, at: int, first: int, every: int) -> Sight:
    """Return what is seen when one axis begins at another entry and takes every so many."""
    old, new, runs = length(view.axes[at]), shape[at], letters(view.axes[at])
    if old == new and first == 0:
        return view
    others = (*view.axes[:at], *view.axes[at + 1 :])
    if runs not in ("", ".") and any(set(runs) & set(letters(other)) for other in others):
        return "unknown"  # a part of what was cut into windows, or of channels among places
    axes = [*view.axes]
    axes[at] = axis(new, runs if len(runs) == 1 else "*" if runs else ".")
    view = replace(view, axes=tuple(axes))
    if runs == "h":
        view = replace(view, down=view.down.cut(first, every))
    elif runs == "w":
        view = replace(view, across=view.across.cut(first, every))
    return view if runs in ("", ".") else replace(view, cells=view.cells * new // old)


def catenated(view: View, shape: Shape, parts: Sequence[Sequence[Axis]], at: int = 0) -> Sight:
    """Follow tensors set one behind another: channels, or a token before the places."""
    axes = list(broadcast(parts, shape))
    met = {letter for part in parts for letter in letters(part[at])}
    axes[at] = axis(shape[at], "*" if met - {"."} else ".")
    return replace(view, axes=tuple(axes))


def regrouped(view: View, shape: Shape, *_: Any) -> Sight:
    """Follow a change of shape that leaves the order of the entries."""
    if 0 in shape:
        return "unknown"
    left = [factor for axis in view.axes for factor in axis][::-1]
    axes = []
    for n in shape:
        new: list[tuple[str, int]] = []
        while (wanted := n // length(tuple(new))) > 1:
            letter, factor = left.pop()
            taken = math.gcd(factor, wanted)
            if taken not in (factor, wanted):
                return "unknown"
            if taken < factor:
                left.append((letter, factor // taken))
            new.append((letter, taken))
        axes.append(tuple(new))
    return replace(view, axes=tuple(axes))


def permuted(view: View, _shape: Shape, order: Sequence[int]) -> Sight:
    """Follow axes put into another order."""
    return replace(view, axes=tuple(view.axes[place] for place in order))


def exchanged(view: View, _shape: Shape, first: int = -2, second: int = -1) -> Sight:
    """Follow two axes that change places."""
    axes = list(view.axes)
    if len(axes) > 1:
        axes[first], axes[second] = axes[second], axes[first]
    return replace(view, axes=tuple(axes))


def picked(view: View, shape: Shape, at: int = 0, *_: Any) -> Sight:
    """Follow one entry of an axis, which goes, or parts of an axis, which stays."""
    at %= len(view.axes)
    if letters(view.axes[at]) not in ("", "."):
        return "unknown"
    stays = [axis(shape[at])] if len(shape) == len(view.axes) else []
    return replace(view, axes=(*view.axes[:at], *stays, *view.axes[at + 1 :]))


def split(view: View, shape: Shape, _sizes: Any, at: int = 0) -> Sight:
    """Follow a tensor taken apart along an axis."""
    return picked(view, shape, at)


def stretched(view: View, shape: Shape, *_: Any) -> Sight:
    """Follow a tensor whose entries are repeated along axes."""
    return replace(view, axes=broadcast([view.axes], shape))


def broadcast(operands: Sequence[Sequence[Axis]], shape: Shape) -> tuple[Axis, ...]:
    """Return the axes of what tensors give entry by entry: those that are places come through."""
    axes = []
    for behind, n in zip(range(len(shape), 0, -1), shape, strict=True):
        here = [operand[-behind] for operand in operands if behind <= len(operand)]
        fitting = [axis for axis in here if length(axis) == n]
        axes.append(max(fitting, key=lambda one: length(one, places=True), default=axis(n)))
    return tuple(axes)


def mixed(view: View, over: Iterable[int]) -> Sight:
    """Return what is seen when the places along some axes come together."""
    together = math.prod(length(view.axes[at], places=True) for at in over)
    return view if together == 1 else "all" if together >= view.cells else "unknown"


def reduced(view: View, shape: Shape, over: Any = None, *_: Any) -> Sight:
    """Follow a mean or maximum over some axes, or a softmax along one."""
    every = range(len(view.axes))
    some = {at % len(every) for at in ([over] if isinstance(over, int) else over or every)}
    if is_map(view) and some >= {2, 3}:
        return "all"  # of a map of one place, too
    if mixed(view, some) is not view:
        return mixed(view, some)
    kept = every if len(shape) == len(every) else [at for at in every if at not in some]
    return replace(view, axes=broadcast([[view.axes[at] for at in kept]], shape))


def normed(view: View, shape: Shape, _order: Any = 2, over: Any = None, *_: Any) -> Sight:
    """Follow a vector norm."""
    return reduced(view, shape, over)


def layer_normed(view: View, shape: Shape, over: Sequence[int], *_: Any) -> Sight:
    """Follow a normalisation over the last axes."""
    return mixed(view, range(-len(over), 0)) if len(shape) == len(view.axes) else view


def group_normed(view: View, shape: Shape, *_: Any) -> Sight:
    """Follow a normalisation over all places and some channels."""
    return mixed(view, range(1, len(view.axes)))


def batch_normed(view: View, shape: Shape, *rest: Any) -> Sight:
    """Follow a normalisation by kept averages, or by those of the map itself."""
    by_itself = rest[4]
    return group_normed(view, shape) if by_itself else stretched(view, shape)


def product(view: View, left: Sequence[Axis], right: Sequence[Axis]) -> Sight:
    """Follow a matrix product (..., M, K) × (..., K, N), with which the places along K go."""
    together = max(length(inner, places=True) for inner in (left[-1], right[-2]))
    if together > 1:
        return "all" if together >= view.cells else "unknown"
    return replace(view, axes=(*left[:-1], right[-1]))


aten = torch.ops.aten
RULES: dict[Any, Callable[..., Sight]] = {
    aten.view: regrouped,
    aten._unsafe_view: regrouped,
    aten.squeeze: regrouped,
    aten.unsqueeze: regrouped,
    aten.permute: permuted,
    aten.transpose: exchanged,
    aten.t: exchanged,
    aten.slice: cut,
    aten.constant_pad_nd: padded,
    aten.select: picked,
    aten.unbind: picked,
    aten.split: split,
    aten.split_with_sizes: split,
    aten.expand: stretched,
    aten.max_pool2d_with_indices: slid,
    aten.avg_pool2d: pooled,
    aten._adaptive_avg_pool2d: adaptive,
    aten.adaptive_max_pool2d: adaptive,
    aten.mean: reduced,
    aten.sum: reduced,
    aten.amax: reduced,
    aten.max: reduced,
    aten._softmax: reduced,
    aten._safe_softmax: reduced,
    aten.linalg_vector_norm: normed,
    aten.native_layer_norm: layer_normed,
    aten.native_group_norm: group_normed,
    aten.native_batch_norm: batch_normed,
    aten._native_batch_norm_legit: group_normed,
    aten._native_batch_norm_legit_no_training: stretched,
}
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm}
EACH_ALONE = {aten.alias, aten.detach, aten._to_copy, aten.hardswish, aten.hardswish_, aten.roll}
CONSTANTS = {aten.new_zeros, aten.zeros_like, aten.ones_like, aten.empty_like}
