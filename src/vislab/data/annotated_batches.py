"""Batches of annotated pictures, by index and augmented whole; see batches.py for their order."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vislab.data.annotated_pictures import AnnotatedPictures
from vislab.data.augment import Augment
from vislab.data.augment_annotated import (
    IGNORED,
    draw_views,
    require_movable,
    see_boxes,
    see_masks,
    see_pictures,
)
from vislab.data.augment_batch import colours, cover, normalise
from vislab.data.batches import steps_an_epoch
from vislab.errors import OptionError
from vislab.ops.memory import keep_freed_memory
from vislab.ops.seeding import generator

NOTHING = -1  # the kind of a row that holds no thing


class AnnotatedBatch(NamedTuple):
    """N pictures, this process's part of a batch of `whole`, each with up to M things."""

    images: Float[Tensor, "n 3 s s"]  # normalised, channels-last in memory
    boxes: Float[Tensor, "n m 4"]  # xyxy, pixels of these pictures
    kinds: Int[Tensor, "n m"]  # places in the classes; NOTHING; IGNORED − kind
    masks: UInt8[Tensor, "n s s"] | None
    rows: Int[Tensor, " n"]  # places in the split
    whole: int


class AnnotatedBatches:
    """The training batches of one epoch after another, as `Batches` has them.

    With `tile`, each picture gives as many windows of so many pixels an epoch as would cover it,
    drawn anew each time.
    """

    def __init__(
        self,
        pictures: AnnotatedPictures,
        batch: int,
        *,
        seed: int,
        augment: Augment,
        tile: int | None = None,
        split: str = "train",
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        keep_freed_memory()
        require_movable(augment)
        if tile is not None and not 16 <= tile <= pictures.size:
            raise OptionError(
                f"--tile {tile} is no part of a picture of {pictures.size} pixels; take 16 to "
                f"{pictures.size}"
            )
        self.pictures, self.split = pictures, pictures.split(split)
        self.mean, self.deviation = pictures.normalisation
        self.augment, self.seed, self.tile = augment, seed, tile
        self.device, self.rank, self.world = torch.device(device), rank, world
        self.side = tile or pictures.size
        self.epoch = 0
        self.first = 0  # the batch an interrupted epoch continues with
        views = (-(-pictures.size // self.side)) ** 2
        self.count = views * len(self.split)
        self.steps = steps_an_epoch(self.count, batch, world)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[AnnotatedBatch]:
        order = torch.randperm(self.count, generator=generator(self.seed, self.epoch, "order"))
        parts = np.array_split(order.numpy() % len(self.split), self.steps)
        first, self.first = self.first, 0
        for step in range(first, self.steps):
            yield self.make(parts[step], step)

    def make(self, rows: Int[np.ndarray, " whole"], step: int) -> AnnotatedBatch:
        """Read, augment and normalise this process's part of one batch."""
        whole = len(rows)
        draws = generator(self.seed, self.epoch, step, "augment")
        mine = torch.from_numpy(np.array_split(np.arange(whole), self.world)[self.rank])
        views = draw_views(self.augment, whole, self.pictures.size, draws, self.tile)
        views = type(views)(views.windows[mine], views.mirrored[mine], views.turns[mine])
        places = self.split.rows[rows[mine.numpy()]]
        pixels = see_pictures(self.pictures.pixels, places, views, self.side).to(self.device)
        pixels = colours(self.augment, pixels, mine, whole, draws)
        images = normalise(pixels, self.mean, self.deviation)
        images = cover(self.augment, images, mine, whole, draws)
        boxes, kinds = padded_things(self.pictures, places)
        boxes, kinds = see_boxes(boxes, kinds, views, self.side)
        masks = None
        if self.pictures.masks is not None:
            masks = see_masks(self.pictures.masks, places, views, self.side)[..., 0]
            masks = masks.to(self.device)
        return AnnotatedBatch(
            images,
            boxes.to(self.device),
            kinds.to(self.device),
            masks,
            torch.from_numpy(rows)[mine],
            whole,
        )


def annotated_in_order(
    pictures: AnnotatedPictures,
    split: str,
    batch: int = 32,
    *,
    device: torch.device | str = "cpu",
) -> Iterator[AnnotatedBatch]:
    """Yield a split from first to last, whole and not augmented."""
    side = pictures.split(split)
    mean, deviation = pictures.normalisation
    for start in range(0, len(side), batch):
        rows = np.arange(start, min(start + batch, len(side)))
        places = side.rows[rows]
        pixels = torch.from_numpy(np.ascontiguousarray(pictures.pixels[places])).to(device)
        boxes, kinds = padded_things(pictures, places)
        masks = None
        if pictures.masks is not None:
            masks = torch.from_numpy(pictures.masks[places][..., 0]).to(device)
        images = normalise(pixels, mean, deviation)
        yield AnnotatedBatch(
            images, boxes.to(device), kinds.to(device), masks, torch.from_numpy(rows), len(rows)
        )


def padded_things(
    pictures: AnnotatedPictures, places: Int[np.ndarray, " n"]
) -> tuple[Float[Tensor, "n m 4"], Int[Tensor, "n m"]]:
    """Return the boxes and kinds of these pictures, rows of nothing after the last of each."""
    starts, stops = pictures.starts[places], pictures.starts[places + 1]
    most = max(1, int((stops - starts).max(initial=0)))
    rows = starts[:, None] + np.arange(most)  # (N, M)
    there = rows < stops[:, None]
    rows = np.where(there, rows, 0)
    if not len(pictures.kinds):
        empty = torch.full((len(places), most), NOTHING)
        return torch.zeros(len(places), most, 4), empty
    kinds = pictures.kinds[rows]
    kinds = np.where((pictures.crowd | pictures.difficult)[rows], IGNORED - kinds, kinds)
    corners = np.where(there[..., None], pictures.corners[rows], 0.0).astype(np.float32)
    return torch.from_numpy(corners), torch.from_numpy(np.where(there, kinds, NOTHING))
