"""Where in the image the tokens of an attention are: one row of patches, or windows of it.

Three layouts are known. All tokens in one window, row by row (ViT). Blocks of neighbours, perhaps
after a cyclic shift (Swin: Liu et al. 2021, arXiv:2103.14030, section 3.2). And tokens that stand
apart by a stride, each window at its own offset: the grid attention of MaxViT (Tu et al. 2022,
arXiv:2204.01697, section 3.1) and the unfolded patches of MobileViT (arXiv:2110.02178).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Size = tuple[int, int]  # rows, columns
MOST_EXTRA = 8  # class, distillation and register tokens


@dataclass(frozen=True)
class Layout:
    """How windows × tokens make a map of rows × columns."""

    rows: int
    columns: int
    windows: Size = (1, 1)
    """Windows down and across; with a stride, the offsets down and across."""
    window: Size = (1, 1)
    """Tokens of one window down and across."""
    strided: bool = False
    shift: Size = (0, 0)
    """How far the map had been rolled down and right before it was cut, usually negative."""
    rolled: Size | None = None
    """The size at which it was rolled, where padding followed."""

    @property
    def tokens(self) -> int:
        """Tokens of one window that have a place."""
        return self.window[0] * self.window[1]

    def place(self, values: Float[Tensor, "n w heads s"]) -> Float[Tensor, "n heads i j"]:
        """Put each token's value where the token is; leading ones of no place are left out."""
        (down, across), (high, wide) = self.windows, self.window
        count, heads = values.shape[0], values.shape[2]
        cut = values[..., values.shape[3] - self.tokens :]
        cut = cut.reshape(count, down, across, heads, high, wide)
        order = (0, 3, 4, 1, 5, 2) if self.strided else (0, 3, 1, 4, 2, 5)
        whole = cut.permute(order).reshape(count, heads, down * high, across * wide)
        if self.rolled is not None:
            whole = whole[:, :, : self.rolled[0], : self.rolled[1]]
        whole = whole.roll((-self.shift[0], -self.shift[1]), (2, 3))
        return whole[:, :, : self.rows, : self.columns]

    def apart(self) -> Float[Tensor, "s s"]:
        """Return how far the tokens of a window are from each other, in places."""
        step = self.windows if self.strided else (1, 1)
        down, across = (torch.arange(side) * by for side, by in zip(self.window, step, strict=True))
        where = torch.cartesian_prod(down, across).float()
        return torch.cdist(where, where)


def of_one_window(tokens: int, ratio: float) -> Layout | None:
    """Return the layout of so many tokens over an image of this height to width, if there is one.

    The first up to eight tokens may have no place.
    """
    for extra in range(MOST_EXTRA + 1):
        rows = round(math.sqrt(max(tokens - extra, 0) * ratio))
        columns = round(rows / ratio)
        if min(rows, columns) > 1 and rows * columns == tokens - extra:
            return Layout(rows, columns, window=(rows, columns))
    return None


def layout_of(
    count: int,
    tokens: int,
    ratio: float,
    *,
    patches: Size | None = None,
    sizes: Sequence[Size] = (),
    strided: bool = False,
    shift: Size = (0, 0),
    rolled: Size | None = None,
) -> Layout | None:
    """Return the layout of `count` windows over an image of this height to width, if one fits.

    `patches` is the size of the map that the tokens may have been. More than one window are taken
    to be square; with a stride, the windows or the offsets. `sizes` are those of maps that may have
    been cut, the likeliest first: they tell what is padding.
    """
    if count == 1 and patches and 0 <= tokens - patches[0] * patches[1] <= MOST_EXTRA:
        return Layout(*patches, window=patches)
    shapes = [(side, side) for side in _root(tokens)]
    cuts = [(windows, shape) for shape in shapes for windows in _pairs(count)]
    if strided:
        cuts += [((side, side), shape) for side in _root(count) for shape in _pairs(tokens)]

    def whole(cut: tuple[Size, Size]) -> Size:
        return cut[0][0] * cut[1][0], cut[0][1] * cut[1][1]

    def made(cut: tuple[Size, Size], size: Size) -> Layout:
        return Layout(*size, *cut, strided=strided, shift=shift, rolled=rolled)

    for size in sizes:
        for cut in cuts:
            padded = whole(cut)
            unit = cut[0] if strided else cut[1]
            if all(p - u < s <= p for p, u, s in zip(padded, unit, size, strict=True)):
                return made(cut, padded if strided else size)  # MobileViT enlarges, does not pad
    if count == 1:
        return of_one_window(tokens, ratio)
    by_shape = sorted((abs(math.log(whole(c)[0] / whole(c)[1] / ratio)), c) for c in cuts)
    if by_shape and by_shape[0][0] < 0.35:  # padding can change the shape by a part of a window
        cut = by_shape[0][1]
        return made(cut, whole(cut))
    return None


def _root(count: int) -> list[int]:
    side = math.isqrt(count)
    return [side] if side * side == count else []


def _pairs(count: int) -> list[Size]:
    return [(rows, count // rows) for rows in range(1, count + 1) if count % rows == 0]
