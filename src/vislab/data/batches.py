"""Batches of a table, by index and augmented whole.

Which images stand in a batch, and what augmentation does to them, is a function of (seed, epoch,
step). Nothing is remembered from batch to batch, so training can begin anywhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vislab.data.augment import Augment
from vislab.data.augment_batch import Mix, colours, cover, draw_mix, normalise
from vislab.data.orders import parts_of_epoch, steps_an_epoch
from vislab.data.table import Table
from vislab.data.views import Views, draw_views, see_pixels
from vislab.errors import OptionError
from vislab.ops.memory import keep_freed_memory
from vislab.ops.seeding import generator

LARGE = ("boxes", "masks")  # columns whose entries are large: fewer images are read at once


class Batch:
    """N images, this process's part of a batch of `whole`, and what is known of them by name.

    `images` (N, 3, S, S) are normalised, channels-last in memory; `rows` (N,) are places in the
    split. What the columns give is read by its name, as `batch.labels` or `batch.boxes`.
    """

    def __init__(
        self, images: Tensor, rows: Int[Tensor, " n"], whole: int, **known: Tensor
    ) -> None:
        self.images, self.rows, self.whole, self.known = images, rows, whole, known

    def __getattr__(self, name: str) -> Any:
        known: Mapping[str, Tensor] = self.__dict__.get("known", {})
        if name in known:
            return known[name]
        raise AttributeError(f"this batch holds no {name}, but {', '.join(known) or 'images only'}")

    def replaced(self, **changed: Any) -> "Batch":
        """Return the same batch with some of it changed."""
        own = {"images": self.images, "rows": self.rows, "whole": self.whole}
        return Batch(**{**own, **self.known, **changed})

    def take(self, places: slice | Int[Tensor, " m"]) -> "Batch":
        """Return some of its images as a batch of their own."""
        known = {name: value[places] for name, value in self.known.items()}
        rows = self.rows[places]
        return Batch(self.images[places], rows, len(rows), **known)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it holds, by name."""
        return {"images": self.images, "rows": self.rows, **self.known}


class Batches:
    """The training batches of one epoch after another.

    An epoch goes once through all images, in an order of its own, cut into batches that differ
    in size by one at most: no tiny last batch, no image left out. With `world` processes, each
    takes its own part of the same batches. With `tile`, each image gives as many windows of so many
    pixels an epoch as would cover it, drawn anew each time.

    Raises OptionError for an augmentation that a column of the table cannot follow.
    """

    def __init__(
        self,
        table: Table,
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
        for column in table.columns.values():
            column.require(augment)
        if tile is not None and not 16 <= tile <= table.size:
            raise OptionError(
                f"--tile {tile} is no part of an image of {table.size} pixels; take 16 to "
                f"{table.size}"
            )
        self.table, self.split = table, table.split(split)
        self.mean, self.std = table.normalisation
        self.augment, self.seed, self.tile = augment, seed, tile
        self.device, self.rank, self.world = torch.device(device), rank, world
        self.epoch = 0
        self.first = 0  # the batch an interrupted epoch continues with
        views = (-(-table.size // (tile or table.size))) ** 2
        self.count = views * len(self.split)
        self.steps = steps_an_epoch(self.count, batch, world)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        parts = parts_of_epoch(self.count, self.steps, generator(self.seed, self.epoch, "order"))
        first, self.first = self.first, 0
        for step in range(first, self.steps):
            yield self.make(parts[step] % len(self.split), step)

    def make(self, rows: Int[np.ndarray, " whole"], step: int) -> Batch:
        """Read, augment and normalise this process's part of one batch."""
        whole = len(rows)
        draws = generator(self.seed, self.epoch, step, "augment")
        mine = torch.from_numpy(np.array_split(np.arange(whole), self.world)[self.rank])
        mix = draw_mix(self.augment, whole, self.table.size, draws)
        # Mixing needs the partners too, each looking as it does where it stands itself.
        needed = mine if mix is None else torch.unique(torch.cat([mine, mix.partner[mine]]))
        places = self.split.rows[rows]
        views = draw_views(self.augment, whole, self.table.size, draws, self.tile)
        if len(needed) < whole:  # otherwise it is all of them, in order
            views = views.take(needed)
        pixels = see_pixels(self.split.pixels, places[needed.numpy()], views)
        pixels = pixels.to(self.device, non_blocking=True)
        pixels = colours(self.augment, pixels, needed, whole, draws)
        images = normalise(pixels, self.mean, self.std)
        images = cover(self.augment, images, needed, whole, draws)
        if mix is None:
            known = self._known(places[mine.numpy()], views)
        else:
            images = mixed(images, mix, needed, mine)
            partners = places[mix.partner[mine].numpy()]
            known = {
                name: value
                for column in self.table.columns.values()
                for name, value in column.mixed(places[mine.numpy()], partners, mix.share).items()
            }
        on_device = {name: value.to(self.device) for name, value in known.items()}
        return Batch(images, torch.from_numpy(rows)[mine], whole, **on_device)

    def _known(self, places: Int[np.ndarray, " n"], views: Views) -> dict[str, Tensor]:
        return {
            name: value
            for column in self.table.columns.values()
            for name, value in column.batch(places, views).items()
        }


def mixed(
    images: Float[Tensor, "m 3 s s"], mix: Mix, needed: Int[Tensor, " m"], mine: Int[Tensor, " n"]
) -> Float[Tensor, "n 3 s s"]:
    """Return the images of `mine`, mixed with their partners; `needed` says which there are."""
    here, there = (torch.searchsorted(needed, where) for where in (mine, mix.partner[mine]))
    own, other = images[here.to(images.device)], images[there.to(images.device)]
    if mix.box is None:
        return torch.lerp(other, own, mix.share)
    top, left, bottom, right = mix.box
    own[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
    return own


class InOrder:
    """The batches of a split from first to last, not augmented; it can be gone through again."""

    def __init__(
        self, table: Table, split: str, batch: int, *, device: torch.device | str = "cpu"
    ) -> None:
        self.table, self.split, self.batch = table, table.split(split), batch
        self.device = device

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        mean, std = self.table.normalisation if len(self.split) else ((), ())
        for start in range(0, len(self.split), self.batch):
            rows = np.arange(start, min(start + self.batch, len(self.split)))
            places = self.split.rows[rows]
            pixels = torch.from_numpy(self.split.take(rows)).to(self.device)
            known = {
                name: value.to(self.device) if value.dtype != torch.float64 else value
                for column in self.table.columns.values()
                for name, value in column.batch(places).items()
            }
            images = normalise(pixels, mean, std)
            yield Batch(images, torch.from_numpy(rows), len(rows), **known)


def in_order(
    table: Table, split: str, batch: int | None = None, *, device: torch.device | str = "cpu"
) -> InOrder:
    """Return a split from first to last, not augmented: for validation, testing and prediction."""
    large = any(name in table.columns for name in LARGE)
    return InOrder(table, split, batch or (32 if large else 256), device=device)


def preview(table: Table, augment: Augment, count: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Return the first training images, spread over the split, as they reach a network."""
    batches = Batches(table, count, seed=0, augment=augment)
    places = np.linspace(0, len(batches.split) - 1, min(count, len(batches.split)))
    images = batches.make(places.astype(np.int64), step=0).images
    mean = torch.tensor(batches.mean)[:, None, None]
    std = torch.tensor(batches.std)[:, None, None]
    pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()
