"""Detection in one stage: the cells' answers are learned where the objects' centres lie."""

from typing import Any

import torch
from torch import Tensor, nn

from vislab.data.batches import Batch
from vislab.data.views import IGNORED
from vislab.losses.yolo import yolo_loss
from vislab.models.yolo import Yolo
from vislab.ops.boxes import pairwise_iou
from vislab.ops.matching import IGNORED as NOT_LEARNED
from vislab.ops.matching import NEGATIVE, yolo_assignment
from vislab.tasks.detecting import Detect
from vislab.tasks.optim import Optim


class DetectYolo(Detect):
    """A `models.Yolo` and the loss of its three parts.

    An anchor that overlaps an object by `ignore`
    or more, and is not the one that learns it, learns nothing: 0.2 in the course, 0.5 in YOLOv3
    (Redmon and Farhadi 2018, arXiv:1804.02767), which leaves fewer boxes around the same object.
    """

    def __init__(
        self,
        model: Yolo,
        optim: Optim | None = None,
        *,
        frozen_norm: bool = False,
        ignore: float = 0.5,
    ) -> None:
        super().__init__(model, optim, frozen_norm=frozen_norm)
        self.ignore = ignore

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the loss and its parts."""
        model: nn.Module = self.model
        assert isinstance(model, Yolo)
        answer = model(batch.images)
        anchors = model.anchors(answer)
        assigned = assign(batch, anchors, model.stride, ignore=self.ignore)
        parts = yolo_loss(
            answer.confidence.float(),
            answer.offsets.float(),
            answer.logits.float(),
            assigned=assigned,
            boxes=batch.boxes,
            labels=batch.box_labels.clamp(min=0),
            anchors=anchors,
            stride=model.stride,
        )
        count = len(batch.images)
        sums = {f"{name} loss": part.detach() * count for name, part in parts._asdict().items()}
        loss = parts.confidence + parts.place + parts.classification
        return self.step(loss, count, batch.whole, **sums)


def assign(batch: Batch, anchors: Tensor, stride: int, *, ignore: float) -> Tensor:
    """Return for each anchor its object; those that see an ignored object are not learned."""
    assigned = yolo_assignment(
        batch.boxes, batch.box_labels >= 0, anchors, stride=stride, negative=ignore
    )
    ignored = batch.box_labels <= IGNORED
    if ignored.any():
        overlap = pairwise_iou(anchors.flatten(0, 2), batch.boxes)  # (N, A, R)
        unsure = ((overlap > 0.2) & ignored[:, None]).any(dim=2).view(assigned.shape)
        assigned = torch.where(unsure & (assigned == NEGATIVE), NOT_LEARNED, assigned)
    return assigned
