"""Leaky rectified linear units (Maas, Hannun and Ng 2013).

    out = x where x > 0, else slope · x
    dx  = dout where x > 0, else slope · dout

A unit that is negative for every image still gets a gradient, so it cannot die.
"""

import torch
from torch import Tensor

from vislab.scratch import expect

Cache = tuple[Tensor, float]


class LeakyReLU:
    """out = max(x, slope · x), number by number, for 0 <= slope < 1."""

    @staticmethod
    def forward(x: Tensor, slope: float = 0.01) -> tuple[Tensor, Cache]:
        """Take x of any shape to out of the same shape."""
        expect.floats("x", x, "N, ...")
        expect.option("slope", slope, low=0, below=1)
        return torch.where(x > 0, x, slope * x), (x, slope)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Tensor:
        """Take dout to dx."""
        x, slope = cache
        expect.shape("dout", dout, tuple(x.shape), like=x)
        return torch.where(x > 0, dout, slope * dout)
