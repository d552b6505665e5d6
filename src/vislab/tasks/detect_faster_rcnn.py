"""Detection in two stages, trained together."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from vislab.data.batches import Batch
from vislab.data.views import IGNORED
from vislab.errors import OptionError
from vislab.losses.faster_rcnn import box_loss, proposal_loss
from vislab.models.faster_rcnn import WEIGHTS, FasterRCNN, Proposals
from vislab.ops.box_codings import encode_rcnn
from vislab.ops.boxes import pairwise_iou
from vislab.ops.matching import IGNORED as NOT_LEARNED
from vislab.ops.matching import NEGATIVE, match, sample_balanced
from vislab.tasks.detecting import Detect
from vislab.tasks.optim import Optim

ANCHORS_DRAWN, ANCHORS_SHARE = 256, 0.5  # of an image, and how many at most have an object
BOXES_DRAWN, BOXES_SHARE = 64, 0.25


class DetectFasterRCNN(Detect):
    """A `models.FasterRCNN` and the losses of its two stages.

    `scales` are sizes that batches are resized to, one drawn for each batch, as a share of theirs.
    """

    def __init__(
        self,
        model: FasterRCNN,
        optim: Optim | None = None,
        *,
        frozen_norm: bool = False,
        scales: tuple[float, ...] = (1.0,),
    ) -> None:
        super().__init__(model, optim, frozen_norm=frozen_norm)
        if not scales or min(scales) <= 0:
            raise OptionError(f"--scales {' '.join(map(str, scales))} must be above 0")
        self.scales = scales

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the loss and its four parts.

        What is drawn comes from torch's own generator, which the bench seeds for each step.
        """
        model = self.model
        assert isinstance(model, FasterRCNN)
        images, boxes = self.rescaled(batch)
        size = (images.shape[2], images.shape[3])
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        maps = model.backbone(images)
        proposals = model.propose(maps)
        has, drawn, target = learn_anchors(proposals, boxes, batch.box_labels, generator)
        first = proposal_loss(
            proposals.objectness.float(), proposals.offsets.float(),
            drawn=drawn, has=has, target=target,
        )  # fmt: skip
        chosen, scores = model.selected(proposals, size)
        image, learned, labels, wanted = learn_boxes(
            chosen, scores, boxes, batch.box_labels, model.classes, generator
        )
        logits, offsets = model.judge(maps, learned, image)
        second = box_loss(
            logits.float(),
            None if offsets is None else offsets.float(),
            labels=labels,
            target=wanted,
        )
        count = len(images)
        parts = {
            "objectness": first.classification, "proposal place": first.place,
            "classification": second.classification, "box place": second.place,
        }  # fmt: skip
        sums = {f"{name} loss": part.detach() * count for name, part in parts.items()}
        return self.step(torch.stack(list(parts.values())).sum(), count, batch.whole, **sums)

    def rescaled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return images and boxes at a scale that is drawn for the batch."""
        scale = self.scales[int(torch.randint(len(self.scales), ()))]
        if scale == 1:
            return batch.images, batch.boxes
        side = max(32, round(batch.images.shape[2] * scale / 32) * 32)
        images = F.interpolate(batch.images, size=(side, side), mode="bilinear", antialias=True)
        return images, batch.boxes * (side / batch.images.shape[2])


def learn_anchors(
    proposals: Proposals,
    boxes: Float[Tensor, "n r 4"],
    labels: Int[Tensor, "n r"],
    generator: torch.Generator,
) -> tuple[Bool[Tensor, "n a"], Bool[Tensor, "n a"], Float[Tensor, "m 4"]]:
    """Return which anchors have an object, which are learned from, and the offsets of both.

    Section 3.1.2 and 3.1.3: overlaps of 0.7 and 0.3. Anchors on ignored objects are not learned.
    """
    matched = match(
        pairwise_iou(proposals.anchors, boxes),
        positive=0.7,
        negative=0.3,
        allow_low_quality=True,
        real=labels >= 0,
    )
    ignored = labels <= IGNORED
    if ignored.any():
        unsure = ((pairwise_iou(proposals.anchors, boxes) > 0.3) & ignored[:, None]).any(dim=2)
        matched = torch.where(unsure & (matched == NEGATIVE), NOT_LEARNED, matched)
    drawn = sample_balanced(matched, ANCHORS_DRAWN, ANCHORS_SHARE, generator)
    has = matched >= 0
    image, anchor = torch.nonzero(drawn & has, as_tuple=True)
    target = encode_rcnn(boxes[image, matched[image, anchor]], proposals.anchors[anchor])
    return has, drawn, target


def learn_boxes(
    chosen: Float[Tensor, "n p 4"],
    scores: Float[Tensor, "n p"],
    boxes: Float[Tensor, "n r 4"],
    box_labels: Int[Tensor, "n r"],
    classes: int,
    generator: torch.Generator,
) -> tuple[Int[Tensor, " m"], Float[Tensor, "m 4"], Int[Tensor, " m"], Float[Tensor, "m 4"]]:
    """Return the boxes to learn from: image, corners, class (or `classes`), and offsets.

    The true boxes stand among the proposals, so that there is something to learn at the start.
    """
    real = box_labels >= 0
    offered = torch.cat([chosen, boxes], dim=1)
    there = torch.cat([scores > -torch.inf, real], dim=1)
    overlap = pairwise_iou(offered, boxes)
    matched = match(overlap, positive=0.5, negative=0.5, allow_low_quality=False, real=real)
    over = ((overlap > 0.5) & (box_labels <= IGNORED)[:, None]).any(dim=2)
    ignored = over & (matched == NEGATIVE)
    matched = torch.where(there & ~ignored, matched, NOT_LEARNED)
    drawn = sample_balanced(matched, BOXES_DRAWN, BOXES_SHARE, generator)
    image, place = torch.nonzero(drawn, as_tuple=True)
    instance = matched[image, place]
    learned, mine = offered[image, place], instance.clamp(min=0)
    labels = torch.where(instance >= 0, box_labels[image, mine], classes)
    target = encode_rcnn(boxes[image, mine], learned, weights=WEIGHTS)
    return image, learned, labels, target
