"""A single-stage detector: every cell of a grid says what is in it, and nine anchors say where.

The course's own form (EECS 498/598, assignment 5), between YOLO (Redmon et al. 2016,
arXiv:1506.02640: one class for a cell) and YOLOv2 (Redmon and Farhadi 2017, arXiv:1612.08242:
offsets from anchors). Each anchor has a confidence and four offsets; the class scores belong to
the cell, whichever anchor is chosen.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.models.backbone import Backbone
from vislab.ops.anchors import anchor_grid
from vislab.ops.box_codings import decode_yolo
from vislab.ops.boxes import pairwise_iou
from vislab.ops.nms import Found, suppress

# Widths and heights in cells.
ANCHORS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (2, 3), (3, 2), (3, 5), (5, 3))


class YoloAnswer(NamedTuple):
    """What the network says of N images, in I×J cells with A anchors each."""

    confidence: Float[Tensor, "n i j a"]  # logits: an object is here
    offsets: Float[Tensor, "n i j a 4"]  # of its box from the anchor; see `ops.encode_yolo`
    logits: Float[Tensor, "n i j k"]


class Yolo(nn.Module):
    """(N, 3, H, W) to what the cells say; `detect` makes boxes of it."""

    def __init__(
        self,
        *,
        classes: int,
        backbone: str = "efficientnet-lite0",
        pretrained: bool = False,
        stride: int = 32,
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, stride=stride, pretrained=pretrained)
        self.preprocessing = self.backbone.preprocessing
        self.classes, self.stride = classes, stride
        self.head = nn.Sequential(
            nn.Conv2d(self.backbone.channels, hidden, 1),
            nn.Dropout(dropout),
            nn.LeakyReLU(inplace=True),
            nn.Conv2d(hidden, 5 * len(ANCHORS) + classes, 1),
        )
        shapes = torch.tensor(ANCHORS, dtype=torch.float32) * stride
        self.register_buffer("shapes", shapes, persistent=False)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> YoloAnswer:
        """Return confidence, offsets and logits; centres move by at most half a cell."""
        said = self.head(self.backbone(images)).movedim(1, -1)  # (N, I, J, 5 A + K)
        count = len(ANCHORS)
        boxes = said[..., : 5 * count].unflatten(-1, (count, 5))
        centres, sides = boxes[..., 1:3].sigmoid() - 0.5, boxes[..., 3:]
        return YoloAnswer(
            boxes[..., 0], torch.cat([centres, sides], dim=-1), said[..., 5 * count :]
        )

    def anchors(self, answer: YoloAnswer) -> Float[Tensor, "i j a 4"]:
        """Return the anchors of this grid, xyxy in pixels."""
        height, width = answer.confidence.shape[1:3]
        return anchor_grid(height, width, self.stride, self.get_buffer("shapes"))

    def detect(
        self,
        images: Float[Tensor, "n 3 h w"],
        *,
        least: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> Found:
        """Return what is found: a score is the confidence times the most probable class's share."""
        answer = self(images)
        return self.found(
            answer, (images.shape[2], images.shape[3]), least=least, overlap=overlap, most=most
        )

    def found(
        self,
        answer: YoloAnswer,
        size: tuple[int, int],
        *,
        least: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> Found:
        """Return the boxes that an answer means, in images of this height and width."""
        boxes = self._boxes(answer, size)
        probability, labels = F.softmax(answer.logits.float(), dim=-1).max(dim=-1)  # (N, I, J)
        scores = answer.confidence.float().sigmoid() * probability[..., None]
        labels = labels[..., None].expand(scores.shape)
        return suppress(
            boxes.flatten(1, 3), scores.flatten(1), labels.flatten(1),
            least=least, overlap=overlap, most=most,
        )  # fmt: skip

    def origin_of(
        self, image: Float[Tensor, "1 3 h w"], box: Float[Tensor, " 4"], _label: int
    ) -> Int[Tensor, " 3"]:
        """Return the row, the column and the anchor that say this box, or the one most like it."""
        boxes = self._boxes(self(image), (image.shape[2], image.shape[3]))[0]
        best = int(pairwise_iou(boxes.flatten(0, 2), box[None].to(boxes)).argmax())
        row, column, anchor = torch.unravel_index(torch.tensor(best), boxes.shape[:3])
        return torch.stack([row, column, anchor])

    def scores_from(
        self, images: Float[Tensor, "n 3 h w"], origin: Int[Tensor, " 3"]
    ) -> Float[Tensor, "n l"]:
        """Return the logarithms of an anchor's score of each class and, last, of "nothing"."""
        answer = self(images)
        row, column, anchor = origin.tolist()
        sure = answer.confidence[:, row, column, anchor].float()
        shares = F.log_softmax(answer.logits[:, row, column].float(), dim=1)
        something, nothing = F.logsigmoid(sure), F.logsigmoid(-sure)
        return torch.cat([something[:, None] + shares, nothing[:, None]], dim=1)

    def _boxes(self, answer: YoloAnswer, size: tuple[int, int]) -> Float[Tensor, "n i j a 4"]:
        boxes = decode_yolo(answer.offsets.float(), self.anchors(answer), stride=self.stride)
        limits = boxes.new_tensor([size[1], size[0], size[1], size[0]])
        return torch.minimum(boxes.clamp(min=0), limits)
