"""How much of a checkerboard a map has: what upsampling by transposed convolutions may leave.

Odena et al. 2016, doi:10.23915/distill.00003, show the pattern and give no number. Here is one. Of
each row x of N pixels (the last left out if N is odd), with a Hann window h, let

    P(k) = |Σ_n h_n x_n exp(−2πi k n / N)|² / (Σ_n h_n)²

be averaged over the rows. A pattern that changes with every pixel lies at k = N/2 and has there the
square of its amplitude; the window spreads it to N/2 − 1. Noise has as much at k as at its
neighbours, and anything smooth has less at a larger k. So P(N/2) is held against Q, the mean of
P(N/2 − d) over d from 2 to max(2, N/8). Columns are treated likewise, and

    score = max(0, (P_r + P_c − Q_r − Q_c) / (P_r + P_c + Q_r + Q_c))

is 1 for a pure checkerboard, also for stripes one pixel wide, and about 0 for noise, a constant and
a ramp. Patterns of period 4, as two upsamplings leave them, are not seen.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vislab.errors import ShapeError

SMALLEST = 8  # pixels: fewer leave no neighbour that the window does not reach
UNSEEN = 1e-12  # of a map's mean square; less is rounding


def checkerboard_score(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Return how checkered each map is, from 0 to 1; smaller than 8×8 raises ShapeError.

    The scale of a map and what is added to it do not matter.
    """
    height, width = maps.shape[1:]
    if min(height, width) < SMALLEST:
        raise ShapeError(
            f"whether a map of {height}×{width} is a checkerboard cannot be told; "
            f"give maps of at least {SMALLEST}×{SMALLEST}"
        )
    maps = maps.double()
    at_rows, near_rows = _power(maps)
    at_columns, near_columns = _power(maps.mT)
    at, near = at_rows + at_columns, near_rows + near_columns
    floor = UNSEEN * maps.square().mean(dim=(1, 2))
    score = (at - near) / (at + near + floor).clamp(min=torch.finfo(torch.float64).tiny)
    return score.clamp(min=0).float()


def _power(maps: Tensor) -> tuple[Tensor, Tensor]:
    even = maps.shape[2] // 2 * 2
    rows = maps[:, :, :even]
    window = torch.hann_window(even, dtype=maps.dtype, device=maps.device)
    waves = torch.fft.rfft(rows * window)
    power = (waves.abs() / window.sum()).square().mean(dim=1)  # (N, even/2 + 1)
    farthest = max(2, even // 8)
    last = even // 2
    return power[:, last], power[:, last - farthest : last - 1].mean(dim=1)
