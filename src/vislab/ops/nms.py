"""Non-maximum suppression over a whole batch: of boxes that overlap, the best one stays."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import batched_nms


class Found(NamedTuple):
    """What was found in a batch: R boxes, by image and then from the best score down."""

    image: Int[Tensor, " r"]
    boxes: Float[Tensor, "r 4"]  # xyxy, pixels
    labels: Int[Tensor, " r"]
    scores: Float[Tensor, " r"]

    def of(self, image: int) -> "Found":
        """Return what was found in one image."""
        mine = self.image == image
        return Found(self.image[mine], self.boxes[mine], self.labels[mine], self.scores[mine])


def suppress(
    boxes: Float[Tensor, "n p 4"],
    scores: Float[Tensor, "n p"],
    labels: Int[Tensor, "n p"],
    *,
    least: float,
    overlap: float,
    most: int,
) -> Found:
    """Return each image's boxes with a score of `least` or more that none of its label covers.

    A box goes when one of its label and image with a higher score overlaps it by more than
    `overlap` (intersection over union); of the others the best `most` of an image stay.
    """
    n = len(scores)
    row, place = torch.nonzero((scores >= least) & scores.isfinite(), as_tuple=True)
    boxes, scores, labels = boxes[row, place], scores[row, place], labels[row, place]
    groups = row * (int(labels.max()) + 1 if len(labels) else 1) + labels
    # Groups are told apart by moving them far from each other: from zero up, and exactly.
    placed = boxes.double() - (boxes.min() if len(boxes) else 0)
    kept = batched_nms(placed, scores.double(), groups, overlap)  # best first
    kept = kept[row[kept].argsort(stable=True)]
    row = row[kept]
    first = torch.searchsorted(row, torch.arange(n, device=row.device))
    rank = torch.arange(len(row), device=row.device) - first[row]
    kept, row = kept[rank < most], row[rank < most]
    return Found(row, boxes[kept], labels[kept], scores[kept])


def padded(found: Found, images: int) -> tuple[Float[Tensor, "n m 4"], Float[Tensor, "n m"]]:
    """Return boxes and scores by image; rows beyond an image's last have the score −∞."""
    counts = torch.bincount(found.image, minlength=images)
    most = max(1, int(counts.max()) if len(counts) else 1)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(found.image), device=counts.device) - first[found.image]
    boxes = found.boxes.new_zeros(images, most, 4)
    scores = found.scores.new_full((images, most), -torch.inf)
    boxes[found.image, place] = found.boxes
    scores[found.image, place] = found.scores
    return boxes, scores
