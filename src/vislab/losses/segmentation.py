"""What segmentation minimises, over pixels that are not void: mean over the batch.

Logits (N, K, H, W) and a class for each pixel (N, H, W), `void` where it counts nowhere. Dice and
Tversky are soft, with softmax in place of a decision, averaged over the classes after the first
(the background) where there is more than one, and over the images of the batch together, so that
an image without a class does not weigh like a wrong one.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

VOID = 255
SMOOTH = 1.0  # pixels added above and below: a class that is nowhere and not found costs nothing

Targets = Int[Tensor, "n h w"] | UInt8[Tensor, "n h w"]


def cross_entropy(logits: Float[Tensor, "n k h w"], targets: Targets) -> Float[Tensor, ""]:
    """Return the mean of −log p(class) over pixels, in nats; of two classes, binary."""
    total = F.cross_entropy(logits, targets.long(), ignore_index=VOID, reduction="sum")
    return total / (targets != VOID).sum().clamp(
        min=1
    )  # where all is void there is nothing to learn


def focal(
    logits: Float[Tensor, "n k h w"], targets: Targets, *, gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Return the mean of −(1 − p)^γ log p (Lin et al. 2017, arXiv:1708.02002, equation 4)."""
    log_p = -F.cross_entropy(logits, targets.long(), ignore_index=VOID, reduction="none")
    seen = targets != VOID
    weighted = -((1 - log_p.exp()) ** gamma) * log_p
    return (weighted * seen).sum() / seen.sum().clamp(min=1)


def tversky(
    logits: Float[Tensor, "n k h w"], targets: Targets, *, alpha: float = 0.3, beta: float = 0.7
) -> Float[Tensor, ""]:
    """Return 1 − TP / (TP + α FP + β FN) (Salehi et al. 2017, arXiv:1706.05721, equation 3).

    β above α makes what is missed cost more than what is found too many.
    """
    seen = (targets != VOID)[:, None]
    classes = logits.shape[1]
    p = logits.softmax(dim=1) * seen
    right = F.one_hot(targets.long().clamp(max=classes - 1), classes).movedim(-1, 1) * seen
    over = (0, 2, 3)
    hit = (p * right).sum(dim=over)
    too_many = (p * (1 - right)).sum(dim=over)
    missed = ((1 - p) * right).sum(dim=over)
    score = (hit + SMOOTH) / (hit + alpha * too_many + beta * missed + SMOOTH)
    return 1 - score[1:].mean()


def dice(logits: Float[Tensor, "n k h w"], targets: Targets) -> Float[Tensor, ""]:
    """Return 1 − 2 TP / (2 TP + FP + FN), Tversky with both halves (Milletari et al. 2016)."""
    return tversky(logits, targets, alpha=0.5, beta=0.5)


def dice_and_cross_entropy(logits: Float[Tensor, "n k h w"], targets: Targets) -> Float[Tensor, ""]:
    """Return the sum of both, as nnU-Net does (Isensee et al. 2021)."""
    return dice(logits, targets) + cross_entropy(logits, targets)


Loss = Callable[[Tensor, Tensor], torch.Tensor]
SEGMENTATION: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "dice": dice,
    "dice+cross-entropy": dice_and_cross_entropy,
    "focal": focal,
    "tversky": tversky,
}
