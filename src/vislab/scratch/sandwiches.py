"""Layers that often follow one another, as one.

Each is its parts in order, and its backward pass their backward passes in reverse: the chain rule
for functions of functions. `first` is that of `Linear` and `Conv`: no dx.
"""

from typing import Any

from torch import Tensor

from vislab.scratch.batch_norm import BatchNorm, SpatialBatchNorm
from vislab.scratch.conv import Conv
from vislab.scratch.linear import Linear
from vislab.scratch.max_pool import MaxPool
from vislab.scratch.relu import ReLU

Cache = tuple[Any, ...]
Three = tuple[Tensor, Tensor, Tensor]
Five = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class LinearReLU:
    """Linear, then ReLU."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Cache]:
        """Take x (N, d1, ..., dk), w (D, M), b (M,) to out (N, M)."""
        a, linear = Linear.forward(x, w, b)
        out, relu = ReLU.forward(a)
        return out, (linear, relu)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Three:
        """Take dout (N, M) to dx, dw, db."""
        linear, relu = cache
        return Linear.backward(ReLU.backward(dout, relu), linear, first=first)


class LinearBatchNormReLU:
    """Linear, batch normalisation, ReLU."""

    @staticmethod
    def forward(
        x: Tensor, w: Tensor, b: Tensor, gamma: Tensor, beta: Tensor, **norm: Any
    ) -> tuple[Tensor, Cache]:
        """Take x, w, b as `Linear`; gamma, beta and the rest by name as `BatchNorm`."""
        a, linear = Linear.forward(x, w, b)
        normal, batch_norm = BatchNorm.forward(a, gamma, beta, **norm)
        out, relu = ReLU.forward(normal)
        return out, (linear, batch_norm, relu)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Five:
        """Take dout (N, M) to dx, dw, db, dgamma, dbeta."""
        linear, batch_norm, relu = cache
        da, dgamma, dbeta = BatchNorm.backward(ReLU.backward(dout, relu), batch_norm)
        return (*Linear.backward(da, linear, first=first), dgamma, dbeta)


class ConvReLU:
    """Convolution, then ReLU."""

    @staticmethod
    def forward(
        x: Tensor, w: Tensor, b: Tensor, stride: int = 1, pad: int = 0
    ) -> tuple[Tensor, Cache]:
        """Take x (N, C, H, W), w (F, C, HH, WW), b (F,) to out (N, F, H', W')."""
        a, conv = Conv.forward(x, w, b, stride, pad)
        out, relu = ReLU.forward(a)
        return out, (conv, relu)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Three:
        """Take dout (N, F, H', W') to dx, dw, db."""
        conv, relu = cache
        return Conv.backward(ReLU.backward(dout, relu), conv, first=first)


class ConvReLUPool:
    """Convolution, ReLU, max pooling of 2×2."""

    @staticmethod
    def forward(
        x: Tensor, w: Tensor, b: Tensor, stride: int = 1, pad: int = 0
    ) -> tuple[Tensor, Cache]:
        """Take x (N, C, H, W), w (F, C, HH, WW), b (F,) to out (N, F, H'/2, W'/2)."""
        a, conv_relu = ConvReLU.forward(x, w, b, stride, pad)
        out, pool = MaxPool.forward(a)
        return out, (conv_relu, pool)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Three:
        """Take dout (N, F, H'/2, W'/2) to dx, dw, db."""
        conv_relu, pool = cache
        return ConvReLU.backward(MaxPool.backward(dout, pool), conv_relu, first=first)


class ConvBatchNormReLU:
    """Convolution, batch normalisation by channel, ReLU."""

    @staticmethod
    def forward(
        x: Tensor,
        w: Tensor,
        b: Tensor,
        gamma: Tensor,
        beta: Tensor,
        stride: int = 1,
        pad: int = 0,
        **norm: Any,
    ) -> tuple[Tensor, Cache]:
        """Take x, w, b as `Conv`; gamma, beta and the rest by name as `SpatialBatchNorm`."""
        a, conv = Conv.forward(x, w, b, stride, pad)
        normal, batch_norm = SpatialBatchNorm.forward(a, gamma, beta, **norm)
        out, relu = ReLU.forward(normal)
        return out, (conv, batch_norm, relu)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Five:
        """Take dout (N, F, H', W') to dx, dw, db, dgamma, dbeta."""
        conv, batch_norm, relu = cache
        da, dgamma, dbeta = SpatialBatchNorm.backward(ReLU.backward(dout, relu), batch_norm)
        return (*Conv.backward(da, conv, first=first), dgamma, dbeta)


class ConvBatchNormReLUPool:
    """Convolution, batch normalisation by channel, ReLU, max pooling of 2×2."""

    @staticmethod
    def forward(
        x: Tensor,
        w: Tensor,
        b: Tensor,
        gamma: Tensor,
        beta: Tensor,
        stride: int = 1,
        pad: int = 0,
        **norm: Any,
    ) -> tuple[Tensor, Cache]:
        """Take what `ConvBatchNormReLU` takes."""
        a, block = ConvBatchNormReLU.forward(x, w, b, gamma, beta, stride, pad, **norm)
        out, pool = MaxPool.forward(a)
        return out, (block, pool)

    @staticmethod
    def backward(dout: Tensor, cache: Cache, *, first: bool = False) -> Five:
        """Take dout (N, F, H'/2, W'/2) to dx, dw, db, dgamma, dbeta."""
        block, pool = cache
        return ConvBatchNormReLU.backward(MaxPool.backward(dout, pool), block, first=first)
