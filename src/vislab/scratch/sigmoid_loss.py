"""Binary cross-entropy on scores, for labels that exclude nothing: any of K may be so.

    p = 1 / (1 + e^-s)
    L = - 1/N Σ_n Σ_j (t[n, j] log p[n, j] + (1 - t[n, j]) log(1 - p[n, j]))

Since log p = s - softplus(s) and log(1 - p) = -softplus(s), with softplus(s) = log(1 + e^s),

    L = 1/N Σ_n Σ_j softplus(s) - t s          ∂L/∂s = (p - t) / N

softplus is written max(s, 0) + log(1 + e^-|s|), which cannot overflow.
"""

from torch import Tensor

from vislab.scratch import expect


def sigmoid_loss(scores: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """Return the loss of scores (N, K) for targets (N, K) in [0, 1], and dscores (N, K).

    In nats, summed over the K and averaged over the N.
    """
    expect.floats("scores", scores, "N, K")
    expect.shape("targets", targets, tuple(scores.shape), like=scores)
    expect.finite("scores", scores)
    softplus = scores.clamp(min=0) + (-scores.abs()).exp().log1p()
    loss = float((softplus - targets * scores).sum()) / len(scores)
    return loss, (scores.sigmoid() - targets) / len(scores)
