"""torchvision's own Faster R-CNN over the same backbone: what ours is compared with.

Its resizing and normalising are switched off, for the images come as they should be, and its
anchors are ours; everything else is torchvision's.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as Detector
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from vislab.models.backbone import Backbone
from vislab.ops.nms import Found


class TorchvisionFasterRCNN(nn.Module):
    """(N, 3, S, S) to what is found; `losses` are what torchvision trains it by."""

    def __init__(
        self,
        *,
        classes: int,
        size: int,
        backbone: str = "efficientnet-lite0",
        pretrained: bool = False,
        stride: int = 16,
        scales: Sequence[int | float] = (1, 2, 4, 8),
    ) -> None:
        super().__init__()
        self.classes = classes
        body: Any = Backbone(backbone, stride=stride, pretrained=pretrained)
        self.preprocessing = body.preprocessing
        body.out_channels = body.channels
        sides = tuple(scale * stride for scale in scales)
        self.detector = Detector(
            body,
            num_classes=classes + 1,
            min_size=size,
            max_size=size,
            image_mean=[0.0, 0.0, 0.0],
            image_std=[1.0, 1.0, 1.0],
            rpn_anchor_generator=AnchorGenerator((sides,), ((0.5, 1.0, 2.0),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        )

    @property
    def backbone(self) -> nn.Module:
        """What gives the maps; it has one place, so that its weights are kept once."""
        found: nn.Module = self.detector.backbone
        return found

    def losses(
        self, images: Float[Tensor, "n 3 s s"], boxes: list[Tensor], labels: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's four losses for the true boxes and labels of each image."""
        targets = [
            {"boxes": mine, "labels": label + 1} for mine, label in zip(boxes, labels, strict=True)
        ]
        found: dict[str, Tensor] = self.detector(list(images), targets)
        return found

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> Found:
        """Return what is found."""
        return self.detect(images)

    def detect(
        self,
        images: Float[Tensor, "n 3 s s"],
        *,
        least: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> Found:
        """Return what is found: a score is the probability of its class."""
        heads = self.detector.roi_heads
        heads.score_thresh, heads.nms_thresh, heads.detections_per_img = least, overlap, most
        found = self.detector(list(images))
        image = torch.cat(
            [torch.full((len(one["scores"]),), row) for row, one in enumerate(found)]
        ).to(images.device)
        return Found(
            image,
            torch.cat([one["boxes"] for one in found]),
            torch.cat([one["labels"] for one in found]) - 1,
            torch.cat([one["scores"] for one in found]),
        )
