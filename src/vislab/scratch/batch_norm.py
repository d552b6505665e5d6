"""Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithm 1).

While training, with M numbers x[i] of one feature (of one channel, in the spatial form) in a batch:

    μ = 1/M Σ_i x[i]          σ² = 1/M Σ_i (x[i] - μ)²  (the biased variance)
    x̂[i] = (x[i] - μ) / √(σ² + ε)
    out[i] = γ x̂[i] + β

Backward. γ and β are those of a linear layer:

    dβ = Σ_i dout[i]          dγ = Σ_i dout[i] x̂[i]

x[i] acts on every output, through μ and σ² too. With r = 1/√(σ² + ε) and dx̂[i] = γ dout[i]:

    ∂x̂[k]/∂x[i] = r (δ_ki - 1/M - x̂[k] x̂[i] / M)

    dx[i] = Σ_k dx̂[k] ∂x̂[k]/∂x[i] = γ r (dout[i] - dβ / M - x̂[i] dγ / M)

The layer removes from the gradient what would only shift or scale the batch: Σ_i dx[i] = 0.

When testing, running averages stand in for μ and σ², and the layer is linear in x. They follow

    running = momentum · running + (1 - momentum) · batch

with the biased variance, as in the course. torch.nn.BatchNorm2d keeps the unbiased variance and
calls 1 - momentum its momentum.
"""

import torch
from torch import Tensor

from vislab.errors import ShapeError
from vislab.scratch import expect

# Centred input, 1/σ, γ, the axes of a feature, and whether μ and σ came from the batch.
Cache = tuple[Tensor, Tensor, Tensor, tuple[int, ...], bool]
Gradients = tuple[Tensor, Tensor, Tensor]


class BatchNorm:
    """Normalise every feature over the batch."""

    @staticmethod
    def forward(
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        training: bool = True,
        momentum: float = 0.9,
        eps: float = 1e-5,
    ) -> tuple[Tensor, Cache]:
        """Take x (N, D); gamma, beta and both running averages are (D,).

        While training the running averages are updated in place.
        """
        expect.floats("x", x, "N, D")
        averages = (running_mean, running_var)
        return _forward(x, gamma, beta, averages, (0,), training, momentum, eps)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Gradients:
        """Take dout (N, D) to dx (N, D), dgamma (D,), dbeta (D,)."""
        return _backward(dout, cache)


class SpatialBatchNorm:
    """Normalise every channel over the batch and all its pixels: M = N H W."""

    @staticmethod
    def forward(
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        training: bool = True,
        momentum: float = 0.9,
        eps: float = 1e-5,
    ) -> tuple[Tensor, Cache]:
        """Take x (N, C, H, W); gamma, beta and both running averages are (C,).

        While training the running averages are updated in place.
        """
        expect.floats("x", x, "N, C, H, W")
        averages = (running_mean, running_var)
        return _forward(x, gamma, beta, averages, (0, 2, 3), training, momentum, eps)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Gradients:
        """Take dout (N, C, H, W) to dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
        return _backward(dout, cache)


def _forward(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    averages: tuple[Tensor, Tensor],
    axes: tuple[int, ...],
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Cache]:
    running_mean, running_var = averages
    for name, given in (
        ("gamma", gamma), ("beta", beta),
        ("running_mean", running_mean), ("running_var", running_var),
    ):  # fmt: skip
        expect.shape(name, given, (x.shape[1],), like=x)
    expect.option("eps", eps, low=0)
    expect.option("momentum", momentum, low=0, below=1 + 1e-9)
    if training and x.numel() == x.shape[1]:
        raise ShapeError(
            f"x has shape {tuple(x.shape)}: one number a feature has no variance; "
            "train with two images or more"
        )
    if training:
        mean = x.mean(dim=axes)
        centred = x - _along(mean, x)
        variance = _products(centred, centred) / (x.numel() // x.shape[1])
        running_mean.mul_(momentum).add_(mean, alpha=1 - momentum)
        running_var.mul_(momentum).add_(variance, alpha=1 - momentum)
    else:
        centred, variance = x - _along(running_mean, x), running_var
    r = (variance + eps).rsqrt()
    out = torch.addcmul(_along(beta, x), centred, _along(gamma * r, x))
    return out, (centred, r, gamma, axes, training)


def _backward(dout: Tensor, cache: Cache) -> Gradients:
    centred, r, gamma, axes, training = cache
    expect.shape("dout", dout, tuple(centred.shape), like=centred)
    count = centred.numel() // centred.shape[1]  # M
    dbeta = dout.sum(dim=axes)
    dgamma = r * _products(dout, centred)
    if not training:
        return dout * _along(gamma * r, dout), dgamma, dbeta
    # dx = γ r dout - γ r dβ / M - γ r² dγ / M · centred, with x̂ = r · centred
    scale = gamma * r
    dx = torch.addcmul(_along(-scale * dbeta / count, dout), dout, _along(scale, dout))
    dx.addcmul_(centred, _along(-scale * r * dgamma / count, dout))
    return dx, dgamma, dbeta


def _along(feature: Tensor, x: Tensor) -> Tensor:
    """Return one number a feature, to be broadcast along x."""
    return feature.view(1, -1, *(1,) * (x.ndim - 2))


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Return Σ_i a[i] b[i] of every feature, without an array for the products."""
    if a.ndim == 2:
        sums: Tensor = torch.linalg.vecdot(a, b, dim=0)
        return sums
    rows: Tensor = torch.linalg.vecdot(a.flatten(2), b.flatten(2))  # (N, C)
    return rows.sum(dim=0)
