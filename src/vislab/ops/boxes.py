"""How boxes overlap, and how they are written down.

Boxes are xyxy in pixels, the right and lower edge outside, unless a name says otherwise. A box
whose sides are none or negative covers nothing: it has area 0 and an IoU of 0, never NaN. Boxes in
half precision are widened: an area beyond 256×256 pixels has no half.

For boxes b and g, their smallest hull C, centres ρ apart, and the hull's diagonal c:

    IoU  = |b ∩ g| / |b ∪ g|
    GIoU = IoU − (|C| − |b ∪ g|) / |C|        Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1
    DIoU = IoU − ρ² / c²                      Zheng et al. 2020, arXiv:1911.08287, eq. 6 and 7
    CIoU = DIoU − α v                         there, eq. 8 to 11
       v = 4/π² (arctan(w_g/h_g) − arctan(w_b/h_b))²,  α = v / ((1 − IoU) + v), without gradient
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Columns = tuple[Tensor, Tensor, Tensor, Tensor]


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Return how many pixels each box covers."""
    width, height = _sides(_columns(boxes))
    return width * height


def pairwise_iou(
    boxes: Float[Tensor, "*#n r 4"], others: Float[Tensor, "*#n s 4"]
) -> Float[Tensor, "*_m r s"]:
    """Return the IoU of every box with every other.

    Axes before the last two are images; they broadcast, so one set of anchors serves them all.
    """
    x1, y1, x2, y2 = (column[..., :, None] for column in _columns(boxes))
    u1, v1, u2, v2 = (column[..., None, :] for column in _columns(others))
    return _share(*_overlap_and_union((x1, y1, x2, y2), (u1, v1, u2, v2)))


def iou(boxes: Float[Tensor, "*n 4"], others: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Return the IoU of each box with its partner."""
    return _share(*_overlap_and_union(_columns(boxes), _columns(others)))


def giou(boxes: Float[Tensor, "*n 4"], others: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Return the generalised IoU of each box with its partner, in [-1, 1]."""
    b, g = _columns(boxes), _columns(others)
    overlap, union = _overlap_and_union(b, g)
    width, height = _hull(b, g)
    hull = width * height
    return _share(overlap, union) - _share(hull - union, hull)


def diou(boxes: Float[Tensor, "*n 4"], others: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Return the IoU less how far the centres of each box and its partner are apart, in [-1, 1]."""
    b, g = _columns(boxes), _columns(others)
    width, height = _hull(b, g)
    across, down = ((b[i] + b[i + 2] - g[i] - g[i + 2]) / 2 for i in (0, 1))
    apart = across.square() + down.square()
    return iou(boxes, others) - _share(apart, width.square() + height.square())


def ciou(boxes: Float[Tensor, "*n 4"], others: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Return the distance IoU less how unlike the shapes of each box and its partner are."""
    unlike = 4 / math.pi**2 * (_angle(_columns(others)) - _angle(_columns(boxes))).square()
    with torch.no_grad():
        apart = (1 - iou(boxes, others)).clamp(min=0)  # rounding may put an IoU above 1
        alpha = _share(unlike, apart + unlike)
    return diou(boxes, others) - alpha * unlike


def clip(
    boxes: Float[Tensor, "*n 4"], *, height: int | float, width: int | float
) -> Float[Tensor, "*n 4"]:
    """Return what of each box lies inside the image."""
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    return torch.stack(
        (x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), dim=-1
    )


def mirror(boxes: Float[Tensor, "*n 4"], *, width: int | float) -> Float[Tensor, "*n 4"]:
    """Return the boxes of an image that was flipped left to right."""
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    return torch.stack((width - x2, y1, width - x1, y2), dim=-1)


def to_centres(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Return xyxy as centre x, centre y, width, height."""
    first, last = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((first + last) / 2, last - first), dim=-1)


def to_corners(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Return centre x, centre y, width, height as xyxy."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def _columns(boxes: Tensor) -> Columns:
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes = boxes.float()
    # Each on its own in memory: for all pairs this is twice as fast as views of the boxes.
    x1, y1, x2, y2 = (column.contiguous() for column in boxes.unbind(dim=-1))
    return x1, y1, x2, y2


def _sides(boxes: Columns) -> tuple[Tensor, Tensor]:
    x1, y1, x2, y2 = boxes
    return (x2 - x1).clamp(min=0), (y2 - y1).clamp(min=0)


def _overlap_and_union(boxes: Columns, others: Columns) -> tuple[Tensor, Tensor]:
    width, height = _sides(
        (
            torch.maximum(boxes[0], others[0]),
            torch.maximum(boxes[1], others[1]),
            torch.minimum(boxes[2], others[2]),
            torch.minimum(boxes[3], others[3]),
        )
    )
    overlap = width * height
    (own_width, own_height), (other_width, other_height) = _sides(boxes), _sides(others)
    return overlap, own_width * own_height + other_width * other_height - overlap


def _hull(boxes: Columns, others: Columns) -> tuple[Tensor, Tensor]:
    return _sides(
        (
            torch.minimum(boxes[0], others[0]),
            torch.minimum(boxes[1], others[1]),
            torch.maximum(boxes[2], others[2]),
            torch.maximum(boxes[3], others[3]),
        )
    )


def _angle(boxes: Columns) -> Tensor:
    return torch.atan2(*_sides(boxes))  # 0 for a point, and no gradient


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.masked_fill(whole == 0, 1)
