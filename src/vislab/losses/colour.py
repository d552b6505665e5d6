"""Weights for colours, so that grey does not win by being everywhere."""

from jaxtyping import Float
from torch import Tensor

MIXED = 0.5  # λ: how far the shares are mixed with a uniform one


def rebalanced(shares: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return a weight for each bin of colour: rare ones weigh more, the mean over pixels is 1.

    w ∝ ((1 − λ) p + λ / K)⁻¹ with Σ p w = 1 (Zhang et al. 2016, arXiv:1603.08511, equation 4), for
    shares p that sum to one.
    """
    weights = 1 / ((1 - MIXED) * shares + MIXED / len(shares))
    return weights / (shares * weights).sum()
