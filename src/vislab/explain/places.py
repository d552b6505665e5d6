"""Where in the image the cells or tokens of a layer are, found by nudging the image.

A nudge n is added to an image, and the same nudge times a ramp, y·n from 0 at the top to 1 at the
bottom and x·n from left to right. What a token answers to a nudge is Σ_p J_p n_p over the pixels p
that it sees, to the ramp Σ_p J_p y_p n_p; so the one is y times the other, where y is the token's
place, and what is left over says how widely it sees. A token that answers to no nudge is of no
place. The image is of one colour but for a little noise, and the nudge even, so that all cells
answer alike and one between two of them lies in the middle. For a network that does not see an even
nudge there is a second one of random signs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PROBES = 7  # an image without nudge, and three for each of two nudges
SILENT = 0.02  # of the strongest answer, at most: what is weaker is rounding
NOISE = 0.01  # in the image that is nudged, beside the difference of colours
WIDE = 0.15  # of the image: how widely, at least, a token sees that has taken in all of it
MOST_WIDE = 16  # such tokens beside those of one place
FEW = 26  # tokens, of which any one may be left out
EXACT = 0.15  # a grid whose cells are of the image's size but for so many parts is taken


@dataclass(frozen=True)
class Positions:
    """Where tokens are, in parts of the image's height and width, from 0 at the top left."""

    down: Float[Tensor, " t"]
    across: Float[Tensor, " t"]
    spread: Float[Tensor, " t"]
    """How widely a token sees: the standard deviation of its pixels' places."""
    live: Bool[Tensor, " t"]
    """Whether the token answers to a nudge at all."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Tokens that fill the cells of a grid over the image, each one cell."""

    rows: int
    columns: int
    cells: Int[Tensor, " t"]
    """The number of each token's cell, row by row; -1 for a token of no place."""


def probes(image: Float[Tensor, "3 h w"], dtype: torch.dtype) -> Float[Tensor, "7 3 h w"]:
    """Return an image of noise, in the range of the image given, without and with nudges.

    They are for a network that computes in `dtype`: small, so that it answers to them in
    proportion, but not so small that its rounding shows.
    """
    high, wide = image.shape[1:]
    draw = torch.Generator().manual_seed(0)
    colour, even = torch.randn(2, len(image), 1, 1, generator=draw)
    start = (colour + NOISE * torch.randn(image.shape, generator=draw)).to(image)
    signs = torch.randint(0, 2, image.shape, generator=draw).to(image) * 2 - 1
    even = even.to(image).expand(image.shape)
    scale = image.detach().std().nan_to_num()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # a blank image has none
    down = ((torch.arange(high) + 0.5) / high).to(image)[:, None]
    across = ((torch.arange(wide) + 0.5) / wide).to(image)
    nudges = [n * ramp for n in (even, signs) for ramp in (1, down, across)]
    step = min(60 * torch.finfo(dtype).eps ** 0.5, 0.3)  # in standard deviations
    return image.detach().mean() + scale * torch.stack(
        [start, *(start + step * nudge for nudge in nudges)]
    )


def positions(answers: Float[Tensor, "7 t d"]) -> Positions:
    """Return where the tokens are that gave these answers to `probes`."""
    silent = min(SILENT, 3 * torch.finfo(answers.dtype).eps ** 0.5)
    answers = answers.detach()
    answers = answers.float() if answers.dtype.itemsize < 4 else answers
    even, uneven = (answers[1:] - answers[:1]).chunk(2)  # (plain, down and across, T, D)
    unseen = even[0].abs().max() < silent * uneven[0].abs().max()
    plain, *ramps = uneven if unseen else even
    strength = plain.square().sum(dim=1)
    live = (strength > silent**2 * strength.max()) & strength.isfinite()
    y, x = ((ramp * plain).sum(dim=1) / strength.where(live, 1.0) for ramp in ramps)
    # To an even nudge pixels answer together, and the widest view looks like a point.
    plain, down, across = uneven
    strength = plain.square().sum(dim=1)
    left = (down - y[:, None] * plain).square() + (across - x[:, None] * plain).square()
    spread = (left.sum(dim=1) / strength.where(strength > 0, 1.0)).sqrt()
    return Positions(y.double().cpu(), x.double().cpu(), spread.double().cpu(), live.cpu())


def grid_of(tokens: Positions) -> Grid | None:
    """Return the grid that tokens fill, in any order; None where they fill none.

    Tokens that answer to nothing are of no place, and so are a few that see all of the image.
    """
    best: tuple[float, Grid | None] = (math.inf, None)
    live = int(tokens.live.sum())
    for placed in _choices(tokens):
        for rows in range(1, len(placed) + 1):
            if len(placed) % rows == 0:
                off, numbers = _numbers(tokens.down[placed], tokens.across[placed], rows)
                if off < (best[0] if len(placed) == live else min(best[0], EXACT)):
                    cells = torch.full(tokens.live.shape, -1)
                    cells[placed] = numbers
                    best = off, Grid(rows, len(placed) // rows, cells)
        if best[0] < EXACT:
            break
    return best[1]


def _choices(tokens: Positions) -> Iterator[Tensor]:
    """Yield those that may be of one place: all that answer, or without some that see widely."""
    live = tokens.live.nonzero()[:, 0]
    live = live[tokens.spread[live].argsort()]
    wide = int((tokens.spread[live] > WIDE).sum())
    if len(live):
        yield live
    if 2 < len(live) <= FEW:
        for one in reversed(range(len(live) - wide, len(live))):
            yield torch.cat([live[:one], live[one + 1 :]])
    for count in range(len(live) - 1, max(len(live) - min(wide, MOST_WIDE) - 1, 1), -1):
        if float(tokens.spread[live[count]]) > 1.2 * float(tokens.spread[live[count - 1]]):
            yield live[:count]


def fills(cells: Positions, rows: int, columns: int) -> bool:
    """Return whether cells, row by row, are ordered as the image is: whether they are a map."""
    down, across = (torch.arange(side).double() for side in (rows, columns))
    i, j = down[:, None].expand(rows, columns).flatten(), across.repeat(rows)
    live = cells.live
    if rows * columns < 2 or 2 * int(live.sum()) < len(live):
        return False
    return all(
        _rises(where[live], number[live]) for where, number in ((cells.down, i), (cells.across, j))
    )


def _rises(where: Tensor, number: Tensor) -> bool:
    if bool((number == number[0]).all()):
        return bool((where - 0.5).abs().max() < 0.3)
    return bool(torch.corrcoef(torch.stack([where, number]))[0, 1] > 0.9)


def _numbers(down: Tensor, across: Tensor, rows: int) -> tuple[float, Tensor]:
    """Return how far tokens are from so many rows of equal length, and each one's cell."""
    columns = len(down) // rows
    row = down.argsort().argsort() // columns
    column = across.argsort().argsort() // rows
    numbers = row * columns + column
    if len(set(numbers.tolist())) < len(numbers):
        return math.inf, numbers
    return _uneven(down, row, rows) + _uneven(across, column, columns), numbers


def _uneven(where: Tensor, group: Tensor, count: int) -> float:
    """Return how far groups of tokens are from even distances over the image; inf if too far."""
    means = torch.zeros(count, dtype=where.dtype).index_add(0, group, where) * count / len(where)
    off = float((where - means[group]).abs().max())
    if not abs(float(means.mean()) - 0.5) < 0.3:
        return math.inf
    if count == 1:
        return 0.0 if off < 0.2 else math.inf
    gaps = means.diff()
    step = float(gaps.mean())
    even = float((gaps - step).abs().max()) < 0.4 * step
    if not (even and 0.6 < step * count < 1.4 and off < 0.4 * step):
        return math.inf
    return abs(math.log(step * count))
