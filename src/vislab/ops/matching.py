"""Which anchor learns which object; the anchors left over learn that nothing is there, or nothing.

All is batched over images. Their objects are padded to the same number: `real` tells the objects
from the padding, which no anchor is ever given. An answer is the index of an anchor's object, or
NEGATIVE, or IGNORED; the course calls anchors with an object activated.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vislab.errors import OptionError
from vislab.ops.boxes import pairwise_iou, to_centres

NEGATIVE = -1  # learns that nothing is there
IGNORED = -2  # learns nothing


def match(
    iou: Float[Tensor, "*n a r"],
    *,
    positive: float,
    negative: float,
    allow_low_quality: bool,
    real: Bool[Tensor, "*n r"] | None = None,
) -> Int[Tensor, "*n a"]:
    """Return for each anchor its object by overlap: Faster R-CNN, arXiv:1506.01497, section 3.1.2.

    An anchor belongs to the object it overlaps most if by `positive` or more, to none if by less
    than `negative`. With `allow_low_quality` the anchors that overlap an object best, ties
    included, are not left out either: each belongs to the object that it overlaps most itself, as
    torchvision has it, which need not be the one that claimed it. An object that no anchor touches
    claims none.
    """
    if negative > positive:
        raise OptionError(f"anchors below negative={negative} would be above positive={positive}")
    if iou.shape[-1] == 0:
        return iou.new_full(iou.shape[:-1], NEGATIVE, dtype=torch.long)
    if real is not None:
        iou = iou.masked_fill(~real[..., None, :], -1)
    most, matched = iou.max(dim=-1)  # (N, A)
    answer = matched.where(most >= positive, IGNORED).where(most >= negative, NEGATIVE)
    if allow_low_quality and iou.shape[-2]:
        best = iou.amax(dim=-2, keepdim=True)  # (N, 1, R)
        claimed = ((iou == best) & (best > 0)).any(dim=-1)
        answer = matched.where(claimed, answer)
    return answer


def sample_balanced(
    matched: Int[Tensor, "*n a"],
    count: int,
    positive_share: float,
    generator: torch.Generator,
) -> Bool[Tensor, "*n a"]:
    """Return which anchors to learn from: at most `count` an image, drawn evenly.

    At most a `positive_share` of `count` have an object; negatives fill the rest, as far as there
    are any. Ren et al. 2015, section 3.1.3: 256 and one half.
    """
    noise = torch.rand(matched.shape, generator=generator, device=generator.device)
    noise = noise.to(matched.device)
    at_most = torch.full_like(matched[..., :1], int(count * positive_share))
    positives = _drawn(noise.where(matched >= 0, -1), count, at_most)
    at_most = count - positives.sum(dim=-1, keepdim=True)
    return positives | _drawn(noise.where(matched == NEGATIVE, -1), count, at_most)


def yolo_assignment(
    boxes: Float[Tensor, "n r 4"],
    real: Bool[Tensor, "n r"],
    anchors: Float[Tensor, "i j a 4"],
    *,
    stride: int | float,
    negative: float = 0.2,
) -> Int[Tensor, "n i j a"]:
    """Return for each anchor its object as the course's YOLO does: EECS 498, assignment 5.

    An object goes to the cell that its centre lies in (the nearest if outside the image) and
    there to the anchor that overlaps it most, however little. Anchors that overlap everything by
    less than `negative` are negative, the others ignored. Where two objects want one anchor, the
    one with the larger overlap has it, of equals the first, and the other is not learned.
    """
    rows, columns, shapes = anchors.shape[:3]
    images, instances = boxes.shape[:2]
    answer = boxes.new_full((images, rows * columns * shapes), NEGATIVE, dtype=torch.long)
    if instances == 0:
        return answer.view(images, rows, columns, shapes)
    iou = pairwise_iou(anchors.flatten(0, 2), boxes)  # (N, I·J·A, R)
    iou = iou.masked_fill(~real[:, None], -1)
    answer = answer.where(iou.amax(dim=2) < negative, IGNORED)

    cell = (to_centres(boxes)[..., :2] / stride).floor().long()
    cell = cell[..., 1].clamp(0, rows - 1) * columns + cell[..., 0].clamp(0, columns - 1)  # (N, R)
    by_cell = iou.view(images, rows * columns, shapes, instances)
    place = cell[:, None, None].expand(-1, 1, shapes, -1)
    overlap, shape = by_cell.gather(1, place)[:, 0].max(dim=1)  # (N, R)
    wanted = cell * shapes + shape

    rank = torch.arange(instances, device=boxes.device)
    first = (overlap[:, None] > overlap[:, :, None]) | (
        (overlap[:, None] == overlap[:, :, None]) & (rank < rank[:, None])
    )
    rival = wanted[:, None] == wanted[:, :, None]  # padding overlaps by -1, and never wins
    given = real & ~(rival & first).any(dim=2)
    spare = torch.cat((answer, answer[:, :1]), dim=1)  # a last place for those that get no anchor
    wanted = wanted.where(given, answer.shape[1])
    answer = spare.scatter(1, wanted, rank.expand_as(wanted))[:, :-1]
    return answer.view(images, rows, columns, shapes)


def _drawn(noise: Tensor, count: int, at_most: Tensor) -> Tensor:
    value, place = noise.topk(min(count, noise.shape[-1]), dim=-1)
    kept = (value >= 0) & (torch.arange(value.shape[-1], device=noise.device) < at_most)
    return torch.zeros_like(noise, dtype=torch.bool).scatter(-1, place, kept)
