"""Batches of a split, by index and augmented whole.

Which pictures stand in a batch, and what augmentation does to them, is a function of (seed, epoch,
step). Nothing is remembered from batch to batch, so training can begin anywhere.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from vislab.data.augment import Augment
from vislab.data.augment_batch import colours, cover, draw_mix, geometry, normalise
from vislab.data.pictures import Pictures, Split
from vislab.errors import OptionError
from vislab.ops.memory import keep_freed_memory
from vislab.ops.seeding import generator


class Batch(NamedTuple):
    """N pictures, this process's part of a batch of `whole`."""

    images: Float[Tensor, "n 3 s s"]  # normalised, channels-last in memory
    labels: Int[Tensor, " n"]
    targets: Float[Tensor, "n k"] | Int[Tensor, " n"]  # labels, or shares where labels are mixed
    rows: Int[Tensor, " n"]  # places in the split
    whole: int


class Batches:
    """The training batches of one epoch after another.

    An epoch goes once through all pictures, in an order of its own, cut into batches that differ
    in size by one at most: no tiny last batch, no picture left out. With `world` processes, each
    takes its own part of the same batches.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch: int,
        *,
        seed: int,
        augment: Augment,
        split: str = "train",
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        keep_freed_memory()
        self.split = pictures.split(split)
        self.classes = len(pictures.classes)
        self.mean, self.deviation = pictures.normalisation
        self.augment, self.seed, self.device = augment, seed, torch.device(device)
        self.rank, self.world = rank, world
        self.epoch = 0
        self.first = 0  # the batch an interrupted epoch continues with
        self.steps = steps_an_epoch(len(self.split), batch, world)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.split), generator=generator(self.seed, self.epoch, "order"))
        parts = np.array_split(order.numpy(), self.steps)
        first, self.first = self.first, 0
        for step in range(first, self.steps):
            yield self.make(parts[step], step)

    def make(self, rows: Int[np.ndarray, " whole"], step: int) -> Batch:
        """Read, augment and normalise this process's part of one batch."""
        whole, side = len(rows), self.split.pixels.shape[1]
        draws = generator(self.seed, self.epoch, step, "augment")
        mine = torch.from_numpy(np.array_split(np.arange(whole), self.world)[self.rank])
        mix = draw_mix(self.augment, whole, side, draws)
        # Mixing needs the partners too, each looking as it does where it stands itself.
        needed = mine if mix is None else torch.unique(torch.cat([mine, mix.partner[mine]]))
        places = self.split.rows[rows[needed.numpy()]]
        pixels = geometry(self.augment, self.split.pixels, places, needed, whole, draws)
        pixels = pixels.to(self.device, non_blocking=True)
        pixels = colours(self.augment, pixels, needed, whole, draws)
        images = normalise(pixels, self.mean, self.deviation)
        images = cover(self.augment, images, needed, whole, draws)
        labels = torch.from_numpy(self.split.labels[rows])
        targets: Tensor = labels[mine]
        if mix is not None:
            here, there = (torch.searchsorted(needed, where) for where in (mine, mix.partner[mine]))
            own, other = images[here.to(self.device)], images[there.to(self.device)]
            if mix.box is None:
                images = torch.lerp(other, own, mix.share)
            else:
                top, left, bottom, right = mix.box
                images = own
                images[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
            one_hot = F.one_hot(labels, self.classes).to(torch.float32)
            targets = torch.lerp(one_hot[mix.partner[mine]], one_hot[mine], mix.share)
        return Batch(
            images,
            labels[mine].to(self.device),
            targets.to(self.device),
            torch.from_numpy(rows)[mine],
            whole,
        )


def steps_an_epoch(count: int, batch: int, world: int) -> int:
    """Return into how many batches an epoch of so many pictures is cut."""
    if batch < 1:
        raise OptionError(f"--batch {batch} holds no picture; use 1 or more")
    steps = max(1, -(-count // batch))
    if count // steps < world:
        raise OptionError(
            f"{count} pictures in batches of {batch} cannot be shared by {world} processes; "
            "use a larger --batch or fewer processes"
        )
    return steps


def in_order(
    pictures: Pictures, split: str, batch: int = 256, *, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Yield a split from first to last, not augmented: for validation, testing and prediction."""
    side: Split = pictures.split(split)
    mean, deviation = pictures.normalisation
    for start in range(0, len(side), batch):
        rows = np.arange(start, min(start + batch, len(side)))
        pixels = torch.from_numpy(side.take(rows)).to(device)
        labels = torch.from_numpy(side.labels[rows]).to(device)
        images = normalise(pixels, mean, deviation)
        yield Batch(images, labels, labels, torch.from_numpy(rows), len(rows))


def preview(pictures: Pictures, augment: Augment, count: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Return the first training pictures, spread over the split, as they reach a network."""
    batches = Batches(pictures, count, seed=0, augment=augment)
    places = np.linspace(0, len(batches.split) - 1, min(count, len(batches.split)))
    images = batches.make(places.astype(np.int64), step=0).images
    mean = torch.tensor(batches.mean)[:, None, None]
    deviation = torch.tensor(batches.deviation)[:, None, None]
    pixels = ((images * deviation + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()
