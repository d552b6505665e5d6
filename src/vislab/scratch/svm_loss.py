"""The multi-class hinge loss (Weston and Watkins 1999), on scores and for a linear classifier.

    L = 1/N Σ_n Σ_{j ≠ y_n} max(0, s[n, j] - s[n, y_n] + 1)

A wrong class j pays when it comes within 1 of the right one. Where it pays, L rises with s[n, j]
and falls with s[n, y_n], each at rate 1/N; with v[n, j] = 1 where the margin is violated, else 0:

    ds[n, j]   = v[n, j] / N              for j ≠ y_n
    ds[n, y_n] = - Σ_{j ≠ y_n} v[n, j] / N

For scores s = X W, with the weight penalty reg · Σ W²:  dW = Xᵀ ds + 2 reg W.
"""

import torch
from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.penalty import penalty


def svm_loss(scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """Return the mean hinge loss of scores (N, K) for the labels y (N,), and its dscores (N, K)."""
    expect.floats("scores", scores, "N, K")
    y = expect.labels("y", y, scores.shape[:1], scores.shape[1])
    expect.finite("scores", scores)
    rows = torch.arange(len(y), device=scores.device)
    margins = (scores - scores[rows, y][:, None] + 1).clamp(min=0)
    margins[rows, y] = 0
    dscores = (margins > 0).to(scores.dtype)
    dscores[rows, y] = -dscores.sum(dim=1)
    return float(margins.sum()) / len(y), dscores / len(y)


def svm_loss_vectorized(
    W: Tensor, X: Tensor, y: Tensor, reg: float, l2_convention: str = "full"
) -> tuple[float, Tensor]:
    """Return the loss of the linear classifier W (D, K) on X (N, D), and dW.

    The penalty is reg · Σ W²; `l2_convention="half"` halves it, as Stanford does.
    """
    expect.linear(X, W)
    loss, dscores = svm_loss(X @ W, y)
    extra, dW = penalty(W, reg, l2_convention)
    return loss + extra, X.T @ dscores + dW


def svm_loss_naive(
    W: Tensor, X: Tensor, y: Tensor, reg: float, l2_convention: str = "full"
) -> tuple[float, Tensor]:
    """Return what `svm_loss_vectorized` returns, image by image and class by class."""
    expect.linear(X, W)
    y = expect.labels("y", y, X.shape[:1], W.shape[1])
    loss, dW = 0.0, torch.zeros_like(W)
    for n in range(len(X)):
        scores = X[n] @ W
        right = int(y[n])
        for j in range(W.shape[1]):
            margin = float(scores[j] - scores[right]) + 1
            if j != right and margin > 0:
                loss += margin / len(X)
                dW[:, j] += X[n] / len(X)
                dW[:, right] -= X[n] / len(X)
    extra, dpenalty = penalty(W, reg, l2_convention)
    return loss + extra, dW + dpenalty
