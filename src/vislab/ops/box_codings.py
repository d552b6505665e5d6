"""A box as numbers near zero that say how it differs from an anchor; both xyxy in pixels.

With centres (x, y), sides (w, h) and the anchor's marked a:

    YOLO    tx = (x − x_a) / stride    tw = log(w / w_a)    EECS 498, assignment 5
    R-CNN   tx = (x − x_a) / w_a       tw = log(w / w_a)    Ren et al., arXiv:1506.01497, eq. 2

and y and h likewise. In the course's YOLO a box belongs to the cell that its centre lies in, so
tx and ty are between -½ and ½ of a cell; the network sees to it, not the decoding. (Redmon and
Farhadi 2017, arXiv:1612.08242, count from the cell's corner.)

In decoding, tw and th are at most log(1000/16): the first steps of training must not overflow. In
encoding, a side below a thousandth of a pixel counts as that: rows of padding stay finite.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vislab.ops.boxes import to_centres, to_corners

LARGEST = math.log(1000 / 16)  # the usual limit of tw and th: Detectron's, and torchvision's
THINNEST = 1e-3  # pixels

Weights = tuple[int | float, int | float, int | float, int | float]


def encode_yolo(
    boxes: Float[Tensor, "*#n 4"], anchors: Float[Tensor, "*#n 4"], *, stride: int | float
) -> Float[Tensor, "*_m 4"]:
    """Return tx, ty, tw, th of each box from its anchor. Axes before the last broadcast."""
    box, anchor = to_centres(boxes), to_centres(anchors)
    return torch.cat(((box[..., :2] - anchor[..., :2]) / stride, _log_ratio(box, anchor)), dim=-1)


def decode_yolo(
    offsets: Float[Tensor, "*#n 4"], anchors: Float[Tensor, "*#n 4"], *, stride: int | float
) -> Float[Tensor, "*_m 4"]:
    """Return the boxes that these offsets from the anchors mean; not clipped to the image."""
    anchor = to_centres(anchors)
    centre = anchor[..., :2] + offsets[..., :2] * stride
    return to_corners(torch.cat((centre, _sides(offsets[..., 2:], anchor)), dim=-1))


def encode_rcnn(
    boxes: Float[Tensor, "*#n 4"],
    anchors: Float[Tensor, "*#n 4"],
    *,
    weights: Weights = (1, 1, 1, 1),
) -> Float[Tensor, "*_m 4"]:
    """Return tx, ty, tw, th times the weights. Axes before the last broadcast.

    Second stages use weights of 10, 10, 5, 5, about one over the offsets' std.
    """
    box, anchor = to_centres(boxes), to_centres(anchors)
    shift = (box[..., :2] - anchor[..., :2]) / anchor[..., 2:]
    offsets = torch.cat((shift, _log_ratio(box, anchor)), dim=-1)
    return offsets * offsets.new_tensor(weights)


def decode_rcnn(
    offsets: Float[Tensor, "*#n 4"],
    anchors: Float[Tensor, "*#n 4"],
    *,
    weights: Weights = (1, 1, 1, 1),
) -> Float[Tensor, "*_m 4"]:
    """Return the boxes that these weighted offsets mean; not clipped to the image.

    For a box per class, (R, K, 4) offsets go with (R, 1, 4) anchors.
    """
    anchor = to_centres(anchors)
    offsets = offsets / offsets.new_tensor(weights)
    centre = anchor[..., :2] + offsets[..., :2] * anchor[..., 2:]
    return to_corners(torch.cat((centre, _sides(offsets[..., 2:], anchor)), dim=-1))


def _log_ratio(box: Tensor, anchor: Tensor) -> Tensor:
    return (box[..., 2:].clamp(min=THINNEST) / anchor[..., 2:]).log()


def _sides(logs: Tensor, anchor: Tensor) -> Tensor:
    return logs.clamp(max=LARGEST).exp() * anchor[..., 2:]
