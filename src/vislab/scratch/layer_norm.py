"""Layer and group normalisation.

Ba, Kiros and Hinton 2016 (arXiv 1607.06450); Wu and He 2018 (arXiv 1803.08494).

The same formulas as batch normalisation, but mean and variance are taken over the M features of
one example (of one group of channels), never over the batch. So training and testing are the same,
and a batch of one is no special case.

    x̂ = (x - μ) r,  r = 1/√(σ² + ε)          out = γ x̂ + β

γ and β are one number a feature while μ and r are one a row, so γ stays inside the sums:

    dβ = Σ_rows dout          dγ = Σ_rows dout · x̂
    dx̂ = γ dout
    dx = r (dx̂ - 1/M Σ dx̂ - x̂ · 1/M Σ dx̂ x̂)
"""

from torch import Tensor

from vislab.errors import OptionError
from vislab.scratch import expect

LayerCache = tuple[Tensor, Tensor, Tensor]
GroupCache = tuple[Tensor, Tensor, Tensor, int]
Gradients = tuple[Tensor, Tensor, Tensor]


class LayerNorm:
    """Normalise every row over its features."""

    @staticmethod
    def forward(
        x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5
    ) -> tuple[Tensor, LayerCache]:
        """Take x (N, D) or (N, T, D), gamma (D,) and beta (D,) to out of x's shape."""
        expect.floats("x", x, "N, ..., D")
        expect.shape("gamma", gamma, (x.shape[-1],), like=x)
        expect.shape("beta", beta, (x.shape[-1],), like=x)
        normal, r = _normalise(x, eps)
        return gamma * normal + beta, (normal, r, gamma)

    @staticmethod
    def backward(dout: Tensor, cache: LayerCache) -> Gradients:
        """Take dout of x's shape to dx, dgamma (D,), dbeta (D,)."""
        normal, r, gamma = cache
        expect.shape("dout", dout, tuple(normal.shape), like=normal)
        rows = tuple(range(dout.ndim - 1))
        dgamma, dbeta = (dout * normal).sum(dim=rows), dout.sum(dim=rows)
        return _backward(gamma * dout, normal, r), dgamma, dbeta


class GroupNorm:
    """Normalise every group of neighbouring channels of an image over its pixels."""

    @staticmethod
    def forward(
        x: Tensor, gamma: Tensor, beta: Tensor, groups: int, eps: float = 1e-5
    ) -> tuple[Tensor, GroupCache]:
        """Take x (N, C, H, W), gamma (C,) and beta (C,) to out (N, C, H, W)."""
        expect.floats("x", x, "N, C, H, W")
        expect.shape("gamma", gamma, (x.shape[1],), like=x)
        expect.shape("beta", beta, (x.shape[1],), like=x)
        if groups < 1 or x.shape[1] % groups:
            raise OptionError(
                f"groups is {groups}, wanted a divisor of the {x.shape[1]} channels of x"
            )
        normal, r = _normalise(x.reshape(len(x), groups, -1), eps)
        normal = normal.reshape(x.shape)
        return gamma[:, None, None] * normal + beta[:, None, None], (normal, r, gamma, groups)

    @staticmethod
    def backward(dout: Tensor, cache: GroupCache) -> Gradients:
        """Take dout (N, C, H, W) to dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
        normal, r, gamma, groups = cache
        expect.shape("dout", dout, tuple(normal.shape), like=normal)
        dgamma, dbeta = (dout * normal).sum(dim=(0, 2, 3)), dout.sum(dim=(0, 2, 3))
        grouped = (len(dout), groups, -1)
        dnormal = (gamma[:, None, None] * dout).reshape(grouped)
        dx = _backward(dnormal, normal.reshape(grouped), r)
        return dx.reshape(dout.shape), dgamma, dbeta


def _normalise(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return x̂ and r, over the last axis."""
    expect.option("eps", eps, low=0)
    centred = x - x.mean(dim=-1, keepdim=True)
    r = ((centred * centred).mean(dim=-1, keepdim=True) + eps).rsqrt()
    return centred * r, r


def _backward(dnormal: Tensor, normal: Tensor, r: Tensor) -> Tensor:
    """Return dx, over the last axis."""
    shift = dnormal.mean(dim=-1, keepdim=True)
    scale = (dnormal * normal).mean(dim=-1, keepdim=True)
    return r * (dnormal - shift - normal * scale)
