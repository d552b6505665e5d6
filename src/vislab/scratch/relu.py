"""Rectified linear units (Nair and Hinton 2010).

    out = max(x, 0)
    dx  = dout where x > 0, else 0

At x = 0 the derivative does not exist; like every library we take 0 there.
"""

from torch import Tensor

from vislab.scratch import expect


class ReLU:
    """out = max(x, 0), number by number."""

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        """Take x of any shape to out of the same shape."""
        expect.floats("x", x, "N, ...")
        out = x.clamp(min=0)
        return out, out  # out > 0 exactly where x > 0, and the next layer keeps out anyway

    @staticmethod
    def backward(dout: Tensor, cache: Tensor) -> Tensor:
        """Take dout to dx."""
        expect.shape("dout", dout, tuple(cache.shape), like=cache)
        # out is never negative, so its sign is the slope: 1 where x > 0, else 0.
        return cache.sign().mul_(dout)
