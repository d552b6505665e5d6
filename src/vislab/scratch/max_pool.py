"""Max pooling.

With windows of S×S pixels, a step apart, and window places (i, j):

    out[n, c, y, x'] = max_i,j x[n, c, y step + i, x' step + j]

Only the largest number of a window reached the output, so it alone gets the gradient; one that was
largest in several windows gets the sum:

    dx[n, c, u, v] = Σ dout[n, c, y, x'] over the windows (y, x') whose winner is (u, v)

Of equal numbers the first in reading order wins, as in torch.

The largest of a window is the largest of its rows' largest, so the maximum is taken along the rows
first and along the columns after it: 2 S comparisons instead of S². Each comparison is kept; going
back, the gradient falls to the last place that took the lead.
"""

import torch
from torch import Tensor

from vislab.errors import ShapeError
from vislab.scratch import expect

Leads = list[Tensor]  # for each place but the first, where it was larger than all before it
Cache = tuple[tuple[int, ...], Leads, Leads, int, int]


class MaxPool:
    """Keep the largest number of each window."""

    @staticmethod
    def forward(x: Tensor, size: int = 2, stride: int = 2) -> tuple[Tensor, Cache]:
        """Take x (N, C, H, W) to out (N, C, H', W') with H' = 1 + (H - size) // stride."""
        expect.floats("x", x, "N, C, H, W")
        expect.option("size", size, low=1, below=16)
        expect.option("stride", stride, low=1)
        if min(x.shape[2:]) < size:
            raise ShapeError(
                f"x has {x.shape[2]}×{x.shape[3]} pixels, fewer than a window of {size}×{size}; "
                "pool less often or give larger images"
            )
        along_rows, columns = _largest(_places(x, 3, size, stride))  # (N, C, H, W')
        out, rows = _largest(_places(along_rows, 2, size, stride))  # (N, C, H', W')
        return out, (tuple(x.shape), columns, rows, size, stride)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Tensor:
        """Take dout (N, C, H', W') to dx (N, C, H, W)."""
        shape, columns, rows, size, stride = cache
        high, wide = (1 + (side - size) // stride for side in shape[2:])
        expect.shape("dout", dout, (*shape[:2], high, wide))
        along_rows = dout.new_zeros(*shape[:3], wide)
        _give_back(dout, rows, _places(along_rows, 2, size, stride))
        dx = dout.new_zeros(shape)
        _give_back(along_rows, columns, _places(dx, 3, size, stride))
        return dx


def _places(x: Tensor, axis: int, size: int, stride: int) -> list[Tensor]:
    """Return for each place in a window along an axis a view of x with one entry a window."""
    count = 1 + (x.shape[axis] - size) // stride
    span = stride * (count - 1) + 1
    return [
        x[..., i : i + span : stride] if axis == 3 else x[..., i : i + span : stride, :]
        for i in range(size)
    ]


def _largest(places: list[Tensor]) -> tuple[Tensor, Leads]:
    """Return the largest over the places, and where each place took the lead."""
    largest, leads = places[0], []
    for values in places[1:]:
        leads.append(values > largest)
        largest = torch.maximum(largest, values)
    return largest, leads


def _give_back(dout: Tensor, leads: Leads, places: list[Tensor]) -> None:
    """Add dout to the places it came from."""
    for lead, place in zip(leads[::-1], places[:0:-1], strict=True):
        taken = dout * lead
        place += taken
        dout = dout - taken
    places[0].add_(dout)
