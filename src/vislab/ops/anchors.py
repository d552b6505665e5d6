"""Anchors: the boxes that a detector begins from, the same ones at each cell of a feature map."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vislab.errors import OptionError
from vislab.ops.boxes import to_corners


def anchor_grid(
    height: int,
    width: int,
    stride: int | float,
    shapes: Float[Tensor, "a 2"],
    device: torch.device | str | None = None,
) -> Float[Tensor, "{height} {width} a 4"]:
    """Return anchors of every shape at every cell, xyxy in pixels, not clipped to the image.

    `height` and `width` count cells; a cell is `stride` pixels wide, and an anchor's centre is
    that of its cell, (j + ½) stride and (i + ½) stride: torchvision puts it at the cell's corner.
    `shapes` are widths and heights in pixels; the anchors take its type and, unless told, device.
    """
    shapes = shapes.to(device)
    down = (torch.arange(height, dtype=shapes.dtype, device=shapes.device) + 0.5) * stride
    across = (torch.arange(width, dtype=shapes.dtype, device=shapes.device) + 0.5) * stride
    y, x = torch.meshgrid(down, across, indexing="ij")
    size = (height, width, len(shapes), 2)
    centres = torch.stack((x, y), dim=-1)[:, :, None].expand(size)  # (I, J, A, 2)
    return to_corners(torch.cat((centres, shapes.expand(size)), dim=-1))


def shapes_of(scales: Sequence[int | float], ratios: Sequence[int | float]) -> Float[Tensor, "a 2"]:
    """Return the width and height of anchors with an area of scale² and a height of ratio × width.

    Faster R-CNN, Ren et al. 2015, arXiv:1506.01497, section 3.1.1. In torchvision's order, all
    scales of the first ratio, then of the next; not rounded, as it does.
    """
    if not scales or not ratios or min(*scales, *ratios) <= 0:
        raise OptionError(
            f"anchors need positive scales and ratios, got {[*scales]} and {[*ratios]}"
        )
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    scale = torch.tensor(scales, dtype=torch.float32)
    return torch.stack((scale / root, scale * root), dim=-1).flatten(0, 1)
