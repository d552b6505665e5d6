"""A two-stage detector: where something may be, then what it is and where exactly.

Ren, He, Girshick and Sun 2015, arXiv:1506.01497; RoIAlign in place of RoI pooling, as everywhere
since He et al. 2017 (arXiv:1703.06870). The second stage has two linear layers with dropout, as in
the course (EECS 498/598, assignment 5), whose stage names classes only: `refine=False`; the
paper's also moves the box, by offsets for each class. Every step works on the whole batch at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from vislab.models.backbone import Backbone
from vislab.ops.anchors import anchor_grid, shapes_of
from vislab.ops.box_codings import decode_rcnn
from vislab.ops.boxes import pairwise_iou
from vislab.ops.nms import Found, padded, suppress

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the second stage's offsets: about one over their std
SMALLEST = 1.0  # pixels: a proposal with a shorter side is dropped


class Proposals(NamedTuple):
    """What the first stage says of every anchor of N images."""

    objectness: Float[Tensor, "n a"]  # logits
    offsets: Float[Tensor, "n a 4"]  # see `ops.encode_rcnn`
    anchors: Float[Tensor, "a 4"]  # xyxy, pixels


class FasterRCNN(nn.Module):
    """(N, 3, H, W) to what is found; training puts the stages together itself, see the task.

    `scales` are the anchors' sides in strides, each in three shapes. `before` and `after` are how
    many proposals of an image are looked at before NMS, and kept after it.
    """

    def __init__(
        self,
        *,
        classes: int,
        backbone: str = "efficientnet-lite0",
        pretrained: bool = False,
        stride: int = 16,
        scales: Sequence[int | float] = (1, 2, 4, 8),
        hidden: int = 256,
        pooled: int = 5,
        dropout: float = 0.3,
        refine: bool = True,
        before: int = 600,
        after: int = 150,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, stride=stride, pretrained=pretrained)
        self.preprocessing = self.backbone.preprocessing
        self.classes, self.stride, self.pooled = classes, stride, pooled
        self.before, self.after = before, after
        shapes = shapes_of([scale * stride for scale in scales], (0.5, 1.0, 2.0))
        self.register_buffer("shapes", shapes, persistent=False)
        channels = self.backbone.channels
        self.look = nn.Conv2d(channels, hidden, 3, padding=1)
        self.objectness = nn.Conv2d(hidden, len(shapes), 1)
        self.moved = nn.Conv2d(hidden, 4 * len(shapes), 1)
        self.squeeze = nn.Conv2d(channels, min(channels, hidden // 2), 1)
        features = self.squeeze.out_channels * pooled**2
        self.second = nn.Sequential(
            nn.Linear(features, hidden), nn.Dropout(dropout), nn.ReLU(inplace=True)
        )
        self.kinds = nn.Linear(hidden, classes + 1)  # the last is "nothing"
        self.refined = nn.Linear(hidden, 4 * classes) if refine else None
        for layer in (self.look, self.objectness, self.moved, self.kinds):
            nn.init.normal_(layer.weight, std=0.01)  # section 3.1.3
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        if self.refined is not None:
            nn.init.normal_(self.refined.weight, std=0.001)
            nn.init.zeros_(self.refined.bias)

    def propose(self, maps: Float[Tensor, "n c i j"]) -> Proposals:
        """Return what the first stage says of every anchor."""
        n, _, height, width = maps.shape
        seen = F.leaky_relu(self.look(maps))
        objectness = self.objectness(seen).permute(0, 2, 3, 1).reshape(n, -1)
        offsets = self.moved(seen).permute(0, 2, 3, 1).reshape(n, -1, 4)
        anchors = anchor_grid(height, width, self.stride, self.get_buffer("shapes"))
        return Proposals(objectness, offsets, anchors.reshape(-1, 4))

    @torch.no_grad()
    def selected(
        self, proposals: Proposals, size: tuple[int, int], *, overlap: float = 0.7
    ) -> tuple[Float[Tensor, "n p 4"], Float[Tensor, "n p"]]:
        """Return each image's best boxes and their logits, after NMS.

        Rows beyond an image's last have the logit −∞. Nothing is differentiated through them.
        """
        scores, place = proposals.objectness.float().topk(
            min(self.before, proposals.objectness.shape[1]), dim=1
        )
        offsets = proposals.offsets.float().gather(1, place[..., None].expand(-1, -1, 4))
        boxes = decode_rcnn(offsets, proposals.anchors[place])
        limits = boxes.new_tensor([size[1], size[0], size[1], size[0]])
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        small = (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1) < SMALLEST
        scores = scores.masked_fill(small, -torch.inf)
        labels = torch.zeros_like(place)
        found = suppress(boxes, scores, labels, least=-torch.inf, overlap=overlap, most=self.after)
        return padded(found, len(boxes))

    def judge(
        self,
        maps: Float[Tensor, "n c i j"],
        boxes: Float[Tensor, "r 4"],
        image: Int[Tensor, " r"],
    ) -> tuple[Float[Tensor, "r l"], Float[Tensor, "r k 4"] | None]:
        """Return class scores of R boxes, the last for "nothing", and offsets for each class."""
        rois = torch.cat([image[:, None].to(boxes.dtype), boxes], dim=1)
        small = self.squeeze(maps)
        # In float32 also where the maps are not: bfloat16 knows whole pixels only, from 128 on.
        with torch.autocast(small.device.type, enabled=False):
            seen = roi_align(
                small.float(), rois.float(), self.pooled, spatial_scale=1 / self.stride,
                aligned=True, sampling_ratio=2,
            ).to(small.dtype)  # fmt: skip
        hidden = self.second(seen.flatten(1))
        offsets = None
        if self.refined is not None:
            offsets = self.refined(hidden).unflatten(1, (self.classes, 4))
        return self.kinds(hidden), offsets

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Found:
        """Return what is found."""
        return self.detect(images)

    def detect(
        self,
        images: Float[Tensor, "n 3 h w"],
        *,
        least: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> Found:
        """Return what is found: a score is the probability of its class."""
        maps = self.backbone(images)
        size = (images.shape[2], images.shape[3])
        boxes, scores = self.selected(self.propose(maps), size)
        return self.decided(maps, boxes, scores, size, least=least, overlap=overlap, most=most)

    def decided(
        self,
        maps: Float[Tensor, "n c i j"],
        boxes: Float[Tensor, "n p 4"],
        scores: Float[Tensor, "n p"],
        size: tuple[int, int],
        *,
        least: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> Found:
        """Return what the second stage makes of proposals: all classes, then NMS."""
        n, p = scores.shape
        image = torch.arange(n, device=boxes.device).repeat_interleave(p)
        logits, offsets = self.judge(maps, boxes.reshape(-1, 4), image)
        shares = logits.float().softmax(dim=1)[:, :-1].view(n, p, self.classes)
        shares = shares.masked_fill((scores == -torch.inf)[..., None], -torch.inf)
        wide = self._moved(boxes, offsets, size)
        labels = torch.arange(self.classes, device=boxes.device).expand(shares.shape)
        return suppress(
            wide.flatten(1, 2), shares.flatten(1), labels.flatten(1),
            least=least, overlap=overlap, most=most,
        )  # fmt: skip

    def origin_of(
        self, image: Float[Tensor, "1 3 h w"], box: Float[Tensor, " 4"], label: int
    ) -> Float[Tensor, " 4"]:
        """Return the proposal that became this box of this class, or the one most like it."""
        maps = self.backbone(image)
        size = (image.shape[2], image.shape[3])
        boxes, scores = self.selected(self.propose(maps), size)
        first = torch.zeros(boxes.shape[1], dtype=torch.int64, device=boxes.device)
        _, offsets = self.judge(maps, boxes[0], first)
        moved = self._moved(boxes, offsets, size)[0, :, label]
        overlap = pairwise_iou(moved, box[None].to(moved))[:, 0]
        return boxes[0, overlap.masked_fill(scores[0] == -torch.inf, -1.0).argmax()]

    def scores_from(
        self, images: Float[Tensor, "n 3 h w"], origin: Float[Tensor, " 4"]
    ) -> Float[Tensor, "n l"]:
        """Return the logits that the second stage gives one proposal, the last for "nothing"."""
        image = torch.arange(len(images), device=images.device)
        return self.judge(self.backbone(images), origin.expand(len(images), 4), image)[0]

    def _moved(
        self, boxes: Float[Tensor, "n p 4"], offsets: Tensor | None, size: tuple[int, int]
    ) -> Float[Tensor, "n p k 4"]:
        """Return where each class would have the proposals."""
        wide = boxes[:, :, None].expand(*boxes.shape[:2], self.classes, 4)
        if offsets is None:
            return wide
        wide = decode_rcnn(offsets.float().view(wide.shape), wide, weights=WEIGHTS)
        limits = wide.new_tensor([size[1], size[0], size[1], size[0]])
        return torch.minimum(wide.clamp(min=0), limits)
