"""Inverted dropout (Srivastava et al. 2014).

While training, each number is set to zero with probability p, and those that stay are divided by
1 - p, so that the expected output is the input and nothing is left to do when testing:

    mask = 1 / (1 - p) with probability 1 - p, else 0
    out  = x · mask
    dx   = dout · mask

p is the probability to *drop* (Michigan and torch); CS231n's p is the probability to keep.
"""

import torch
from torch import Tensor

from vislab.scratch import expect


class Dropout:
    """Drop numbers at random while training, and nothing otherwise."""

    @staticmethod
    def forward(
        x: Tensor,
        p: float = 0.5,
        training: bool = True,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Take x of any shape to out of the same shape; `generator` draws the mask."""
        expect.floats("x", x, "N, ...")
        expect.option("p", p, low=0, below=1)
        if not training:
            return x, None
        drawn = torch.rand(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        mask = (drawn >= p).to(x.dtype) / (1 - p)
        return x * mask, mask

    @staticmethod
    def backward(dout: Tensor, cache: Tensor | None) -> Tensor:
        """Take dout to dx."""
        if cache is None:
            return dout
        expect.shape("dout", dout, tuple(cache.shape), like=cache)
        return dout * cache
