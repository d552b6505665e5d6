"""What the single-stage detector minimises: confidence, place and class, each a mean over objects.

After Redmon et al. 2016 (arXiv:1506.02640, equation 3) in the course's form (EECS 498/598,
assignment 5): squared errors of the offsets, and confidences that are to be 1 for anchors that have
an object. Differs: confidence is learned by cross-entropy, which does not stall where a sigmoid is
flat, and anchors without an object, of which there are hundreds, weigh `NEGATIVE` together.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vislab.ops.box_codings import encode_yolo
from vislab.ops.matching import NEGATIVE as NO_THING

NEGATIVE = 0.5  # λ_noobj of the paper
PLACE = 5.0  # λ_coord


class YoloLoss(NamedTuple):
    """Its three parts, already weighted; their sum is minimised."""

    confidence: Float[Tensor, ""]
    place: Float[Tensor, ""]
    classification: Float[Tensor, ""]


def yolo_loss(
    confidence: Float[Tensor, "n i j a"],
    offsets: Float[Tensor, "n i j a 4"],
    logits: Float[Tensor, "n i j k"],
    *,
    assigned: Int[Tensor, "n i j a"],
    boxes: Float[Tensor, "n r 4"],
    labels: Int[Tensor, "n r"],
    anchors: Float[Tensor, "i j a 4"],
    stride: int,
) -> YoloLoss:
    """Return the parts for anchors `assigned` to objects (see `ops.yolo_assignment`).

    `boxes` and `labels` are the objects' places and labels; rows that nothing is assigned to may
    hold anything.
    """
    has = assigned >= 0
    none = assigned == NO_THING
    image, i, j, a = torch.nonzero(has, as_tuple=True)
    instance = assigned[has]
    count = max(len(instance), 1)
    wanted = has.to(confidence.dtype)
    each = F.binary_cross_entropy_with_logits(confidence, wanted, reduction="none")
    certainty = (each * has).sum() / count + NEGATIVE * (each * none).sum() / count
    target = encode_yolo(boxes[image, instance], anchors[i, j, a], stride=stride)
    place = F.mse_loss(offsets[has], target, reduction="sum") / count
    classification = (
        F.cross_entropy(logits[image, i, j], labels[image, instance], reduction="sum") / count
    )
    return YoloLoss(certainty, PLACE * place, classification)
