"""torchvision's Faster R-CNN with its own losses: the baseline of detection."""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch

from vislab.data.annotated_batches import AnnotatedBatch
from vislab.explain.taps import tap
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.tasks.detecting import average_precision_of, still_norms
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class DetectTorchvision(Task):
    """A `models.TorchvisionFasterRCNN`; ignored things are unknown to it and left out."""

    score: ClassVar[str] = "map50"
    answers: ClassVar[str] = "boxes"

    def __init__(
        self,
        model: TorchvisionFasterRCNN,
        optim: Optim | None = None,
        *,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__(model, optim)
        self.classes = model.classes
        self.frozen_norm = frozen_norm

    def train(self, mode: bool = True) -> "DetectTorchvision":
        """Set training mode; frozen normalisation stays in eval mode."""
        super().train(mode)
        if self.frozen_norm and isinstance(self.model, TorchvisionFasterRCNN):
            still_norms(self.model.backbone)
        return self

    def training_step(self, batch: AnnotatedBatch, _step: int) -> dict[str, Any]:
        """Return the sum of torchvision's losses."""
        model = self.model
        assert isinstance(model, TorchvisionFasterRCNN)
        real = batch.kinds >= 0
        boxes = [mine[there] for mine, there in zip(batch.boxes, real, strict=True)]
        kinds = [mine[there] for mine, there in zip(batch.kinds, real, strict=True)]
        parts = model.losses(batch.images, boxes, kinds)
        loss = torch.stack(list(parts.values())).sum()
        return self.step(loss, len(batch.images), batch.whole)

    def scores(self, batches: Iterable[AnnotatedBatch]) -> dict[str, float]:
        """Return the mean average precision at an overlap of one half."""
        with tap(self.network, []), torch.inference_mode():
            return {"map50": average_precision_of(self.network, batches, self.classes)}
