"""What the two-stage detector minimises: for each stage, what it is and where.

Ren et al. 2015, arXiv:1506.01497, equation 1, and Girshick 2015, arXiv:1504.08083, equation 1. The
offsets' errors are summed and divided by the number of boxes that were drawn, with or without a
object, so that λ is 1, as in torchvision.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

BEND = 1 / 9  # where the first stage's smooth L1 turns from square to linear: σ = 3


class StageLoss(NamedTuple):
    """The two parts of one stage."""

    classification: Float[Tensor, ""]
    place: Float[Tensor, ""]


def proposal_loss(
    objectness: Float[Tensor, "n a"],
    offsets: Float[Tensor, "n a 4"],
    *,
    drawn: Bool[Tensor, "n a"],
    has: Bool[Tensor, "n a"],
    target: Float[Tensor, "r 4"],
) -> StageLoss:
    """Return the first stage's loss over the anchors drawn; `target` is of those drawn that `has`.

    Binary cross-entropy of "an object is here", and smooth L1 of the offsets.
    """
    count = drawn.sum().clamp(min=1)
    classification = F.binary_cross_entropy_with_logits(
        objectness[drawn], has[drawn].to(objectness.dtype), reduction="sum"
    )
    place = F.smooth_l1_loss(offsets[drawn & has], target, beta=BEND, reduction="sum")
    return StageLoss(classification / count, place / count)


def box_loss(
    logits: Float[Tensor, "r l"],
    offsets: Float[Tensor, "r k 4"] | None,
    *,
    labels: Int[Tensor, " r"],
    target: Float[Tensor, "r 4"],
) -> StageLoss:
    """Return the second stage's loss; `labels` is a class, or the last for "nothing".

    Cross-entropy over classes, and smooth L1 of the offsets of the true class of those that have
    one. Without offsets there is nothing to place.
    """
    count = max(len(labels), 1)
    classification = F.cross_entropy(logits, labels, reduction="sum") / count
    if offsets is None:
        return StageLoss(classification, torch.zeros_like(classification))
    has = labels < logits.shape[1] - 1
    mine = offsets[has, labels[has]]
    return StageLoss(classification, F.smooth_l1_loss(mine, target[has], reduction="sum") / count)
