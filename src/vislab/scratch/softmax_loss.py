"""Softmax and cross-entropy, on scores, for a linear classifier, and over time.

    p[n, j] = exp s[n, j] / Σ_k exp s[n, k]          L = - 1/N Σ_n log p[n, y_n]

The exponentials could overflow; taking the row's largest score from all of them first changes
nothing, because it cancels. Since log p[n, y_n] = s[n, y_n] - log Σ_k exp s[n, k],

    ∂L/∂s[n, j] = 1/N (p[n, j] - 1 where j = y_n, else 0):

what the network says minus what is so. For scores s = X W with the penalty reg · Σ W²:

    dW = Xᵀ ds + 2 reg W

Over time, x (N, T, V) scores a word at every step; the loss is summed over the steps and divided by
N, and steps whose target is `ignore_index` (padding) count nothing.
"""

import torch
from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.penalty import penalty


def softmax_loss(scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """Return the mean cross-entropy (nats) of scores (N, K) for the labels y (N,), and dscores."""
    expect.floats("scores", scores, "N, K")
    y = expect.labels("y", y, scores.shape[:1], scores.shape[1])
    expect.finite("scores", scores)
    rows = torch.arange(len(y), device=scores.device)
    logs = scores.log_softmax(dim=1)
    dscores = logs.exp()
    dscores[rows, y] -= 1
    return -float(logs[rows, y].sum()) / len(y), dscores / len(y)


def softmax_loss_vectorized(
    W: Tensor, X: Tensor, y: Tensor, reg: float, l2_convention: str = "full"
) -> tuple[float, Tensor]:
    """Return the loss of the linear classifier W (D, K) on X (N, D), and dW.

    The penalty is reg · Σ W²; `l2_convention="half"` halves it, as Stanford does.
    """
    expect.linear(X, W)
    loss, dscores = softmax_loss(X @ W, y)
    extra, dW = penalty(W, reg, l2_convention)
    return loss + extra, X.T @ dscores + dW


def softmax_loss_naive(
    W: Tensor, X: Tensor, y: Tensor, reg: float, l2_convention: str = "full"
) -> tuple[float, Tensor]:
    """Return what `softmax_loss_vectorized` returns, image by image and class by class."""
    expect.linear(X, W)
    y = expect.labels("y", y, X.shape[:1], W.shape[1])
    loss, dW = 0.0, torch.zeros_like(W)
    for n in range(len(X)):
        scores = X[n] @ W
        scores = scores - scores.max()
        total = float(scores.exp().sum())
        right = int(y[n])
        for j in range(W.shape[1]):
            p = float(scores[j].exp()) / total
            dW[:, j] += (p - (1 if j == right else 0)) * X[n] / len(X)
        loss -= float(scores[right]) / len(X)
        loss += float(torch.tensor(total, dtype=torch.float64).log()) / len(X)
    extra, dpenalty = penalty(W, reg, l2_convention)
    return loss + extra, dW + dpenalty


def temporal_softmax_loss(
    x: Tensor, y: Tensor, ignore_index: int | None = None
) -> tuple[float, Tensor]:
    """Return the cross-entropy of x (N, T, V) for the words y (N, T), and dx (N, T, V).

    Summed over time and divided by N.
    """
    expect.floats("x", x, "N, T, V")
    y = expect.labels("y", y, x.shape[:2], x.shape[2], ignore=ignore_index)
    expect.finite("x", x)
    n, words = len(x), y.reshape(-1)
    counts = torch.ones_like(words, dtype=torch.bool)
    if ignore_index is not None:
        counts = words != ignore_index
    rows = counts.nonzero()[:, 0]
    logs = x.flatten(0, 1).log_softmax(dim=1)  # (N T, V)
    dx = logs.exp() * counts[:, None]
    dx[rows, words[rows]] -= 1
    return -float(logs[rows, words[rows]].sum()) / n, (dx / n).view(x.shape)
