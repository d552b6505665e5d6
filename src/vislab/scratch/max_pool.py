"""Max pooling.

With windows of S×S pixels, a step apart, and window places (i, j):

    out[n, c, y, x'] = max_i,j x[n, c, y step + i, x' step + j]

Only the largest number of a window reached the output, so it alone gets the gradient; one that was
largest in several windows gets the sum:

    dx[n, c, u, v] = Σ dout[n, c, y, x'] over the windows (y, x') whose winner is (u, v)

Of equal numbers the first in reading order wins, as in torch.
"""

import torch
from torch import Tensor

from vislab.errors import ShapeError
from vislab.scratch import expect

Cache = tuple[tuple[int, ...], Tensor, int, int]


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
                "pool less often or give larger pictures"
            )
        first, *others = _windows(x, size, stride)
        out = first
        winner = torch.zeros(out.shape, dtype=torch.uint8, device=x.device)
        for place, values in enumerate(others, start=1):
            winner.masked_fill_(values > out, place)
            out = torch.maximum(out, values)
        return out, (tuple(x.shape), winner, size, stride)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Tensor:
        """Take dout (N, C, H', W') to dx (N, C, H, W)."""
        shape, winner, size, stride = cache
        expect.shape("dout", dout, tuple(winner.shape))
        dx = dout.new_zeros(shape)
        for place, target in enumerate(_windows(dx, size, stride)):
            target += dout * (winner == place)
        return dx


def _windows(x: Tensor, size: int, stride: int) -> list[Tensor]:
    """Return for each place in a window, in reading order, a view of x (N, C, H', W')."""
    rows = stride * ((x.shape[2] - size) // stride) + 1
    columns = stride * ((x.shape[3] - size) // stride) + 1
    return [
        x[:, :, i : i + rows : stride, j : j + columns : stride]
        for i in range(size)
        for j in range(size)
    ]
