"""torchvision's Faster R-CNN with its own losses: the baseline of detection."""

from typing import Any

import torch

from vislab.data.batches import Batch
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.tasks.detecting import Detect


class DetectTorchvision(Detect):
    """A `models.TorchvisionFasterRCNN`; ignored objects are unknown to it and left out."""

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the sum of torchvision's losses."""
        model = self.model
        assert isinstance(model, TorchvisionFasterRCNN)
        real = batch.box_labels >= 0
        boxes = [mine[there] for mine, there in zip(batch.boxes, real, strict=True)]
        labels = [mine[there] for mine, there in zip(batch.box_labels, real, strict=True)]
        parts = model.losses(batch.images, boxes, labels)
        loss = torch.stack(list(parts.values())).sum()
        return self.step(loss, len(batch.images), batch.whole)
