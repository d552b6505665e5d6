"""What is known of each image of a table: labels, boxes, masks, numbers; one entry a row.

A column knows how to take rows, how to follow an image that is mirrored, rotated or cut, and how to
be drawn. A new kind of truth is a new subclass of `Column`, and nothing else.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from vislab.data.annotations import VOID
from vislab.data.augment import Augment
from vislab.data.decode import within
from vislab.data.views import IGNORED, Views, see_boxes, see_masks
from vislab.errors import OptionError

Rows = Int[np.ndarray, " n"]
Drawn = tuple[UInt8[np.ndarray, "h w 3"], str]  # an image with what is known drawn in; words

NOTHING = -1  # the label of an entry that holds no object
MOVED = ("resized_crop", "flip", "rotation", "colour", "cutout")  # what boxes and masks can follow


class Column(ABC):
    """One entry for each row of a table, in the table's order."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many entries there are."""

    @abstractmethod
    def take(self, rows: Rows) -> "Column":
        """Return the column of these rows, in this order."""

    @abstractmethod
    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return the entries of these rows as tensors (N, ...), by the names that tasks read.

        With `views` as they are where the images are looked at so.
        """

    def require(self, augment: Augment) -> None:
        """Raise OptionError for an augmentation that the column cannot follow."""
        if augment.mixes:
            which = "mixup" if augment.mixup else "cutmix"
            raise OptionError(
                f"--augment.{which} mixes pairs of images, and what is learned here cannot be "
                "mixed; leave it out"
            )

    def mixed(self, rows: Rows, partners: Rows, share: float) -> dict[str, Tensor]:
        """Return the entries of images of which `share` is their own, the rest their partners'."""
        raise OptionError(
            f"{type(self).__name__} has no `mixed`, which mixup and cutmix need; leave them out"
        )

    def about(self, splits: Mapping[str, Rows]) -> dict[str, Any]:
        """Return what a report says of it, as JSON; `splits` are the rows of each split."""
        return {}

    def drawn(self, pixels: UInt8[np.ndarray, "h w 3"], row: int, classes: Sequence[str]) -> Drawn:
        """Return an image with what is known of it drawn in, and words for it."""
        return pixels, ""


@dataclass(frozen=True, eq=False)
class Labels(Column):
    """A class for each image. Tasks read `labels`, and `targets`: shares where they are mixed."""

    values: Int[np.ndarray, " n"]
    count: int  # of classes

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows) -> "Labels":
        """Return the labels of these rows."""
        return replace(self, values=self.values[rows])

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return labels (N,); targets are the same."""
        labels = torch.from_numpy(self.values[rows])
        return {"labels": labels, "targets": labels}

    def require(self, augment: Augment) -> None:
        """Labels follow everything."""

    def mixed(self, rows: Rows, partners: Rows, share: float) -> dict[str, Tensor]:
        """Return labels (N,) and the shares of classes (N, K) as targets."""
        own, other = (torch.from_numpy(self.values[some]) for some in (rows, partners))
        theirs, ours = (F.one_hot(some, self.count).to(torch.float32) for some in (other, own))
        return {"labels": own, "targets": torch.lerp(theirs, ours, share)}

    def about(self, splits: Mapping[str, Rows]) -> dict[str, Any]:
        """Return what guessing evenly and what always naming the largest class would score."""
        return {"chance": 1 / self.count, "majority": self.majority(splits["test"])}

    def majority(self, rows: Rows) -> float:
        """Return the share of the largest class: what always guessing it would score."""
        labels = self.values[rows]
        return float(np.bincount(labels).max() / len(labels)) if len(labels) else 0.0

    def drawn(self, pixels: UInt8[np.ndarray, "h w 3"], row: int, classes: Sequence[str]) -> Drawn:
        """Name the class."""
        return pixels, classes[self.values[row]]


@dataclass(frozen=True, eq=False)
class Values(Column):
    """A number, or an array of them, for each image, under a name that tasks read.

    Taken to stay as it is however the image is looked at; a subclass whose numbers move, such as
    an angle where the image is mirrored, overrides `batch`.
    """

    name: str
    values: Shaped[np.ndarray, "n ..."]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows) -> "Values":
        """Return the values of these rows."""
        return replace(self, values=self.values[rows])

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return the values of these rows, floats in single precision."""
        values = self.values[rows]
        single = values.astype(np.float32) if values.dtype.kind == "f" else values
        return {self.name: torch.from_numpy(np.ascontiguousarray(single))}

    def drawn(self, pixels: UInt8[np.ndarray, "h w 3"], row: int, classes: Sequence[str]) -> Drawn:
        """Write the value."""
        value = self.values[row]
        return pixels, f"{self.name} {value:.4g}" if np.ndim(value) == 0 else ""


@dataclass(frozen=True, eq=False)
class Names(Column):
    """A word for each image that no task reads: who it shows, or which domain it is of."""

    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Rows) -> "Names":
        """Return the names of these rows."""
        return replace(self, values=tuple(self.values[row] for row in rows))

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return nothing: words are no tensors."""
        return {}

    def require(self, augment: Augment) -> None:
        """Names follow everything."""


@dataclass(frozen=True, eq=False)
class Placement(Column):
    """Where the pixels of each file lie in its square, for images that are shown whole.

    Tasks read `scale` (N,), pixels here for a pixel of the file, and `shift` (N, 2), left and top;
    not in training, where images are looked at in other ways.
    """

    size: int  # side of the square, in pixels
    scales: Float[np.ndarray, " n"]
    sizes: Int[np.ndarray, "n 2"]  # width and height of the file

    def __len__(self) -> int:
        return len(self.scales)

    def take(self, rows: Rows) -> "Placement":
        """Return the places of these rows."""
        return replace(self, scales=self.scales[rows], sizes=self.sizes[rows])

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return scales and shifts, in double precision."""
        if views is not None:
            return {}
        shifts = np.array([self.corner(int(row)) for row in rows], dtype=np.float64)
        return {
            "scale": torch.from_numpy(self.scales[rows].astype(np.float64)),
            "shift": torch.from_numpy(shifts.reshape(len(rows), 2)),
        }

    def require(self, augment: Augment) -> None:
        """It is left out in training."""

    def corner(self, row: int) -> tuple[int, int]:
        """Return left and top, in pixels, of the image in its square."""
        width, height = within(tuple(self.sizes[row].tolist()), self.size)
        return (self.size - width) // 2, (self.size - height) // 2

    def in_file(self, rows: Rows, boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
        """Return boxes of these rows in pixels of their files."""
        shifts = np.array([self.corner(int(row)) for row in rows]).reshape(len(rows), 2)
        found: np.ndarray = (boxes - np.tile(shifts, (1, 2))) / self.scales[rows, None]
        return found

    def in_square(self, row: int, boxes: Float[np.ndarray, " 4"]) -> tuple[float, ...]:
        """Return a box of a file in pixels of its square."""
        return tuple((boxes * self.scales[row] + np.tile(self.corner(row), 2)).tolist())


@dataclass(frozen=True, eq=False)
class Boxes(Column):
    """The boxes of R objects; those of image i stand from `starts[i]` up to `starts[i + 1]`.

    Tasks read `boxes` (N, M, 4) and `box_labels` (N, M), padded to the most of any image: a place
    in the classes, NOTHING, or IGNORED − label of what is neither learned from nor scored. Outside
    of training also `crowd`, `difficult` and `area` (N, M).
    """

    starts: Int[np.ndarray, " m"]  # m = n + 1
    xyxy: Float[np.ndarray, "r 4"]  # pixels
    labels: Int[np.ndarray, " r"]
    crowd: Bool[np.ndarray, " r"]  # a group under one box; neither learned from nor scored,
    difficult: Bool[np.ndarray, " r"]  # as what can hardly be told or seen
    area: Float[np.ndarray, " r"]  # pixels of the file, as annotated; NaN: that of the box

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Rows) -> "Boxes":
        """Return the boxes of these rows."""
        counts = self.starts[rows + 1] - self.starts[rows]
        instances = np.concatenate(
            [np.zeros(0, dtype=np.int64), *(np.arange(*self.starts[r : r + 2]) for r in rows)]
        )
        return replace(
            self, starts=np.concatenate([[0], np.cumsum(counts)]), xyxy=self.xyxy[instances],
            labels=self.labels[instances], crowd=self.crowd[instances],
            difficult=self.difficult[instances], area=self.area[instances],
        )  # fmt: skip

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return boxes and labels, entries of nothing after the last of each image."""
        starts, stops = self.starts[rows], self.starts[rows + 1]
        most = max(1, int((stops - starts).max(initial=0)))
        instances = starts[:, None] + np.arange(most)  # (N, M)
        there = instances < stops[:, None]
        instances = np.where(there, instances, 0)
        labels = np.full(instances.shape, NOTHING)
        boxes = np.zeros((*instances.shape, 4), dtype=np.float32)
        flags = {
            "crowd": np.zeros(instances.shape, bool),
            "difficult": np.zeros(instances.shape, bool),
            "area": np.full(instances.shape, np.nan),
        }
        if len(self.labels):
            crowd, difficult = self.crowd[instances] & there, self.difficult[instances] & there
            labels = np.where(there, self.labels[instances], NOTHING)
            labels = np.where(crowd | difficult, IGNORED - labels, labels)
            boxes = np.where(there[..., None], self.xyxy[instances], 0.0).astype(np.float32)
            area = np.where(there, self.area[instances], np.nan)
            flags = {"crowd": crowd, "difficult": difficult, "area": area}
        found, of_them = torch.from_numpy(boxes), torch.from_numpy(labels)
        if views is not None:
            found, of_them = see_boxes(found, of_them, views)
            return {"boxes": found, "box_labels": of_them}
        told = {name: torch.from_numpy(flag) for name, flag in flags.items()}
        return {"boxes": found, "box_labels": of_them, **told}

    def require(self, augment: Augment) -> None:
        """Raise OptionError for what boxes cannot follow."""
        require_movable(augment)

    def about(self, splits: Mapping[str, Rows]) -> dict[str, Any]:
        """Return how many objects there are in each split."""
        return {
            "instances": {
                split: int((self.starts[rows + 1] - self.starts[rows]).sum())
                for split, rows in splits.items()
            }
        }

    def instances(self, row: int) -> slice:
        """Return where the objects of an image stand."""
        return slice(int(self.starts[row]), int(self.starts[row + 1]))

    def drawn(self, pixels: UInt8[np.ndarray, "h w 3"], row: int, classes: Sequence[str]) -> Drawn:
        """Outline the objects and name them."""
        from PIL import Image, ImageDraw

        image = Image.fromarray(pixels)
        pen, mine = ImageDraw.Draw(image), self.instances(row)
        for box in self.xyxy[mine].tolist():
            pen.rectangle(box, outline=(255, 230, 0), width=max(1, image.width // 100))
        names = list(dict.fromkeys(classes[label] for label in self.labels[mine]))
        return np.asarray(image), ", ".join(names)


@dataclass(frozen=True, eq=False)
class Masks(Column):
    """A class for each pixel; 0 is the background and VOID counts nowhere. Tasks read `masks`."""

    pixels: UInt8[np.ndarray, "n s s 1"]

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Rows) -> "Masks":
        """Return the masks of these rows."""
        return replace(self, pixels=self.pixels[rows])

    def batch(self, rows: Rows, views: Views | None = None) -> dict[str, Tensor]:
        """Return masks (N, S, S)."""
        if views is None:
            return {"masks": torch.from_numpy(self.pixels[rows][..., 0])}
        return {"masks": see_masks(self.pixels, rows, views)[..., 0]}

    def require(self, augment: Augment) -> None:
        """Raise OptionError for what masks cannot follow."""
        require_movable(augment)

    def merged(self) -> "Masks":
        """Return the masks with all objects as one class."""
        masks = np.asarray(self.pixels)
        return replace(self, pixels=np.where(masks == VOID, masks, (masks > 0).astype(np.uint8)))

    def drawn(self, pixels: UInt8[np.ndarray, "h w 3"], row: int, classes: Sequence[str]) -> Drawn:
        """Colour the classes."""
        from vislab.runs import figures

        mask = self.pixels[row, ..., 0].astype(np.int64)
        over = figures.coloured(pixels[None], mask[None], len(classes))[0]
        here = [k for k in np.unique(mask).tolist() if 0 < k < len(classes)]
        return over, ", ".join(classes[k] for k in here)


def require_movable(augment: Augment) -> None:
    """Raise OptionError for a step that boxes and masks cannot follow."""
    for field in fields(augment):
        if getattr(augment, field.name) and field.name not in (*MOVED, "magnitude"):
            flag = field.name.replace("_", "-")
            raise OptionError(
                f"--augment.{flag} does not move boxes and masks; take one of "
                + ", ".join(f"--augment.{name.replace('_', '-')}" for name in MOVED)
            )
