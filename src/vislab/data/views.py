"""How each image of a batch is looked at, and what is seen then: of pixels, masks and boxes.

A window of each image is cut, enlarged to the full side, mirrored, rotated and moved: pixels by
bilinear interpolation, masks by the nearest pixel, boxes by arithmetic. As in augment_batch.py, all
draws come from one generator for the whole batch, and no step loops over images.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Generator, Tensor

from vislab.data.augment import Augment
from vislab.data.augment_batch import crop_boxes, cut_windows, mirror, resize_boxes, rotated

IGNORED = -2  # less its label: an object that is neither learned from nor scored
KEPT = 0.4  # an object of whose box less than this share is left is neither learned nor scored


@dataclass(frozen=True, eq=False)
class Move:
    """A border of `pad` pixels is put around, and the old size cut out of it."""

    pad: int
    mode: str  # of NumPy's pad: constant, or edge
    offsets: Int[Tensor, "n 2"]  # top, left


@dataclass(frozen=True, eq=False)
class Views:
    """How each of N images is looked at; S is the side in pixels of what is seen."""

    side: int
    windows: Int[Tensor, "n 4"]  # top, left, height, width, in pixels
    mirrored: Bool[Tensor, " n"]  # left to right, after cutting
    rotations: Int[Tensor, " n"]  # quarters of a circle, counter-clockwise, after mirroring
    moves: tuple[Move, ...] = ()  # at last

    def take(self, rows: Int[Tensor, " m"]) -> "Views":
        """Return how these of the batch are looked at."""
        moves = tuple(Move(one.pad, one.mode, one.offsets[rows]) for one in self.moves)
        return Views(
            self.side, self.windows[rows], self.mirrored[rows], self.rotations[rows], moves
        )


def draw_views(
    augment: Augment, count: int, side: int, generator: Generator, tile: int | None = None
) -> Views:
    """Draw how each of a batch is looked at; with `tile` as a window of so many pixels, its size.

    A whole image where neither `tile` nor `resized_crop` asks for less.
    """
    windows = torch.tensor([0, 0, side, side]).expand(count, 4)
    if tile is not None:
        corner = torch.randint(0, side - tile + 1, (count, 2), generator=generator)
        windows = torch.cat([corner, torch.full((count, 2), tile)], dim=1)
    elif augment.resized_crop > 0:
        windows = crop_boxes(augment.resized_crop, count, side, generator)
    mirrored = torch.zeros(count, dtype=torch.bool)
    if augment.flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
    rotations = torch.zeros(count, dtype=torch.int64)
    if augment.rotation:
        rotations = torch.randint(0, 4, (count,), generator=generator)
    seen, moves = tile or side, []
    for reach, mode in ((augment.crop, "constant"), (augment.shift, "edge")):
        if reach > 0:
            pad = max(1, round(reach * seen))
            offsets = torch.randint(0, 2 * pad + 1, (count, 2), generator=generator)
            moves.append(Move(pad, mode, offsets))
    return Views(seen, windows, mirrored, rotations, tuple(moves))


def see_pixels(
    source: UInt8[np.ndarray, "all s s c"], places: Int[np.ndarray, " n"], views: Views
) -> UInt8[Tensor, "n t t c"]:
    """Return images as they are seen, T = `views.side` pixels wide."""
    if bool((views.windows[:, 2:] == source.shape[1]).all()):  # whole, and copied in one go
        pixels = mirror(torch.from_numpy(source[places]), views.mirrored)
    else:
        copied = bool((views.windows[:, 2:] == views.side).all())  # nothing to enlarge
        pixels = resize_boxes(
            source, places, views.windows, views.mirrored, views.side, nearest=copied
        )
    pixels = rotated(pixels, views.rotations)
    for move in views.moves:
        pixels = cut_windows(pixels, move.offsets, move.pad, move.mode)
    return pixels


def see_masks(
    source: UInt8[np.ndarray, "all s s c"], places: Int[np.ndarray, " n"], views: Views
) -> UInt8[Tensor, "n t t c"]:
    """Return masks as they are seen, T = `views.side` pixels wide: each the nearest pixel's."""
    assert not views.moves, "masks are asked for after Masks.require"
    pixels = resize_boxes(source, places, views.windows, views.mirrored, views.side, nearest=True)
    return rotated(pixels, views.rotations)


def see_boxes(
    boxes: Float[Tensor, "n m 4"], labels: Int[Tensor, "n m"], views: Views
) -> tuple[Float[Tensor, "n m 4"], Int[Tensor, "n m"]]:
    """Return boxes as they are seen, cut off at the borders, and their labels.

    An object of which less than `KEPT` is left is ignored from then on.
    """
    assert not views.moves, "boxes are asked for after Boxes.require"
    side = views.side
    top, left, height, width = views.windows.to(boxes.dtype).T[:, :, None]
    x1, y1, x2, y2 = boxes.unbind(-1)  # (N, M) each
    before = ((x2 - x1) * (y2 - y1) * (side / width) * (side / height)).clamp(min=1e-6)
    x1, x2 = (x1 - left) * (side / width), (x2 - left) * (side / width)
    y1, y2 = (y1 - top) * (side / height), (y2 - top) * (side / height)
    mirrored = views.mirrored[:, None]
    x1, x2 = torch.where(mirrored, side - x2, x1), torch.where(mirrored, side - x1, x2)
    for quarters in (1, 2, 3):  # a quarter takes (x, y) to (y, side − x)
        more = views.rotations[:, None] >= quarters
        x1, y1, x2, y2 = (
            torch.where(more, y1, x1),
            torch.where(more, side - x2, y1),
            torch.where(more, y2, x2),
            torch.where(more, side - x1, y2),
        )
    seen = torch.stack([x1, y1, x2, y2], dim=-1).clamp(0, side)
    left_over = (seen[..., 2] - seen[..., 0]) * (seen[..., 3] - seen[..., 1])
    cut = (labels >= 0) & (left_over < KEPT * before)
    return seen, torch.where(cut, IGNORED - labels, labels)
