"""How weights begin: with a spread that lets the signal through.

A unit that sums D inputs multiplies their variance by D Var(w). To keep it the same from layer to
layer, Var(w) must be about 1/D:

    Xavier  Var(w) = 2 / (fan_in + fan_out)      (Glorot and Bengio 2010, equation 16)
    Kaiming Var(w) = gain / fan_in               (He et al. 2015, arXiv 1502.01852, equation 10)
            gain 2 after a ReLU, which stops half of the signal; 1 otherwise

For a convolution with K×K taps, fan_in = Din K K and fan_out = Dout K K.
"""

import math

import torch
from torch import Tensor

from vislab.errors import OptionError, pick
from vislab.scratch import expect


def kaiming_initializer(
    Din: int,
    Dout: int,
    K: int | None = None,
    relu: bool = True,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return weights (Din, Dout), or (Dout, Din, K, K) where K is given."""
    taps = 1 if K is None else K * K
    scale = math.sqrt((2 if relu else 1) / (Din * taps))
    return scale * _normal(Din, Dout, K, dtype, device, generator)


def xavier_initializer(
    Din: int,
    Dout: int,
    K: int | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return weights (Din, Dout), or (Dout, Din, K, K) where K is given."""
    taps = 1 if K is None else K * K
    scale = math.sqrt(2 / ((Din + Dout) * taps))
    return scale * _normal(Din, Dout, K, dtype, device, generator)


def initial_weights(
    weight_scale: float | str,
    Din: int,
    Dout: int,
    K: int | None = None,
    *,
    relu: bool = True,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return weights by name, "kaiming" or "xavier", or with a fixed standard deviation."""
    if isinstance(weight_scale, str):
        name = pick({"kaiming": "kaiming", "xavier": "xavier"}, weight_scale, "weight_scale")
        if name == "kaiming":
            return kaiming_initializer(
                Din, Dout, K, relu, dtype=dtype, device=device, generator=generator
            )
        return xavier_initializer(Din, Dout, K, dtype=dtype, device=device, generator=generator)
    expect.option("weight_scale", weight_scale, low=0)
    return weight_scale * _normal(Din, Dout, K, dtype, device, generator)


def _normal(
    Din: int,
    Dout: int,
    K: int | None,
    dtype: torch.dtype,
    device: torch.device | str,
    generator: torch.Generator | None,
) -> Tensor:
    if min(Din, Dout, K or 1) < 1:
        raise OptionError(f"a layer from {Din} to {Dout} features has no weights; use 1 or more")
    shape = (Din, Dout) if K is None else (Dout, Din, K, K)
    # Drawn on the CPU, so that every device begins alike.
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    return drawn.to(dtype=dtype, device=device)
